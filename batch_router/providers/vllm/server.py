"""The server that answers rows: a `vllm serve` of our own that stays while it is wanted, or one that runs elsewhere."""

import fcntl
import os
import platform
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import httpx2

from ...exceptions import CredentialsError, ProviderUnavailableError
from . import engine, failures
from .errors import ModelNotFoundError
from .watch import Watch

# Large models load for minutes.
_READY_WITHIN = 1800.0
_CONNECT_WITHIN = 10.0
# Its engine is gone, and it will be.
_END_WITHIN = 30.0
# What `vllm serve` takes its key from.
_KEY = "VLLM_API_KEY"
# By itself it closes a connection that was idle for 5 s. Where engine and sender want the same processors, an answer
# may be read seconds late, and the next row meets a connection that is just closing: a breakdown, to all appearances.
_KEEP_ALIVE = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "60"}


class Server(Protocol):
    """Where rows are sent.

    Attributes:
        key: what it asks for, if anything.
        trust_env: whether the environment's proxies are between it and us.
    """

    key: str | None
    trust_env: bool

    def ready(self, watch: Watch) -> str | None:
        """The URL below which `/v1/...` is, once it answers; None if the job is to end.

        Raises:
            ProviderAPIError: it does not come up, or refuses us.
        """

    def breakdown(self) -> ProviderUnavailableError | None:
        """After a connection was lost: why the job cannot go on here; None: a row may have done it, and it can."""

    def end(self) -> None:
        """The job is to end now."""


class Elsewhere:
    """A server that somebody else looks after.

    Args:
        url: where it is, with or without `/v1`.
        key: what it asks for, if anything.
        model: the name that it must know.
    """

    def __init__(self, url: str, key: str | None, model: str) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self.key = key
        self.trust_env = True
        self._model = model

    def ready(self, watch: Watch) -> str | None:  # noqa: ARG002 - it is there, or it is not
        """See `Server.ready`."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            answer = httpx2.get(f"{self._url}/v1/models", headers=headers, timeout=_CONNECT_WITHIN)
            models = [str(model["id"]) for model in answer.json()["data"]] if answer.is_success else []
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            message = f"no vLLM answers at {self._url}: {type(error).__name__}"
            raise ProviderUnavailableError(failures.NAME, 0, message) from error
        if answer.status_code in (401, 403):
            raise CredentialsError(failures.NAME, answer.status_code, f"{self._url} refuses the key: set VLLM_API_KEY")
        if not answer.is_success:
            raise ProviderUnavailableError(failures.NAME, answer.status_code, f"{self._url} does not list its models")
        if self._model not in models:
            raise ModelNotFoundError(failures.NAME, 0, f"{self._url} has no model {self._model!r}; it has {models}")
        return self._url

    def breakdown(self) -> ProviderUnavailableError | None:
        """See `Server.breakdown`."""
        return ProviderUnavailableError(failures.NAME, 0, f"the connection to {self._url} was lost")

    def end(self) -> None:
        """It is not ours."""


class Resident:
    """A `vllm serve` of this process, which stays until another one is wanted.

    Args:
        command: `vllm serve` with the model and its options.
        options: those of its options that may be secret.
        folder: for its log and the record of its process group.
    """

    def __init__(self, command: list[str], options: Mapping[str, Any], folder: Path) -> None:
        self.command = command
        self.key: str | None = secrets.token_urlsafe()  # others on this machine may reach the port
        self.trust_env = False
        self._options = options
        name = f"{platform.node()}-{os.getpid()}"
        self._record, self._log, self._lock = (folder / f"{name}{end}" for end in (".json", ".log", ".lock"))
        self._held: BinaryIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def is_running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def ready(self, watch: Watch) -> str | None:
        """See `Server.ready`."""
        if self.is_running():
            return self._url
        self._start()
        deadline = time.monotonic() + _READY_WITHIN
        # It asks for its key: somebody else may have been faster to take the port.
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx2.Client(base_url=self._url, headers=headers, timeout=_CONNECT_WITHIN, trust_env=False) as http:
            while not watch.should_end():
                if (code := self._process.poll() if self._process else 0) is not None:
                    words = failures.last_words(self._log, self._options, {**os.environ, _KEY: str(self.key)})
                    self.end()
                    raise failures.error_of(code, words)
                with suppress(httpx2.HTTPError):
                    if http.get("/v1/models").is_success:
                        return self._url
                if time.monotonic() > deadline:
                    self.end()
                    raise ProviderUnavailableError(failures.NAME, 0, f"not ready after {_READY_WITHIN:.0f} s")
                time.sleep(engine.LOOK_EVERY)
        return None

    def breakdown(self) -> ProviderUnavailableError | None:
        """See `Server.breakdown`."""
        code = 0
        if self._process is not None:
            try:
                code = self._process.wait(_END_WITHIN)
            except subprocess.TimeoutExpired:
                return ProviderUnavailableError(failures.NAME, 0, "the connection to the engine was lost")
        self.end()
        if engine.was_ended_from_outside(code):
            return ProviderUnavailableError(failures.NAME, 0, "the engine was ended from outside")
        return None

    def end(self) -> None:
        """End it; the next `ready` starts it anew."""
        if self._process is not None:
            engine.end(self._process, self._record)
            self._process = None
        if self._held is not None:
            self._held.close()
            self._held = None

    def _start(self) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        end_leftovers(self._record.parent)
        self._held = self._lock.open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        # It stays for weeks, and would write a line for each row.
        command = [*self.command, "--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log"]
        environment = {_KEY: str(self.key), **_KEEP_ALIVE}
        try:
            self._process = engine.start(command, record=self._record, log=self._log, environment=environment)
        except BaseException:
            self.end()
            raise


def end_leftovers(folder: Path) -> None:
    """End the servers of workers that are gone: nobody holds their locks any more."""
    for record in folder.glob("*.json"):
        with suppress(OSError), record.with_suffix(".lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            engine.end_leftover(record)
