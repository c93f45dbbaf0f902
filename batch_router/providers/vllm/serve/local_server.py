"""A `vllm serve` of this process, which stays loaded until another model or another command is wanted."""

import fcntl
import os
import platform
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

import httpx2

from ....core.jobs import EngineOption
from ....exceptions import ProviderUnavailableError
from ....security.files import open_regular
from ..._http.address import Address
from ..._http.transport import open_client
from ..control import JobControl
from ..errors import NAME
from ..process import group, log
from ..process.folder import EngineFolder
from ..process.leftovers import end_leftover_servers
from .server import CONNECT_WITHIN

# Seconds. Large models load for minutes.
_READY_WITHIN = 1800.0
# Seconds that the server may take to end after its engine has died.
_END_WITHIN = 30.0
# The variable that `vllm serve` takes its key from.
_KEY = "VLLM_API_KEY"
# By default it closes a connection that was idle for 5 s. Where engine and sender compete for the processors, an answer
# may be read seconds late, and the next row would meet a connection that is just closing, which looks like a breakdown.
_KEEP_ALIVE = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "60"}


class LocalServer:
    """A `vllm serve` of this process.

    Args:
        command: `vllm serve` with the model and its options.
        options: its options, some of which may be secret.
        folder: of the engines: for its log, the record of its process group, and the lock that says that this process
            is alive.
    """

    def __init__(self, command: list[str], options: Mapping[str, EngineOption], folder: EngineFolder) -> None:
        self.command = command
        self.key: str | None = secrets.token_urlsafe()  # others on this machine may reach the port
        self.trust_env = False
        self._options = options
        self._folder = folder
        name = f"{platform.node()}-{os.getpid()}"
        self._record, self._log, self._lock = (folder.path / f"{name}{end}" for end in (".json", ".log", ".lock"))
        self._held_lock: BinaryIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def is_running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait_until_ready(self, control: JobControl) -> str | None:
        """See `Server.wait_until_ready`."""
        if self.is_running():
            return self._url
        self._start()
        deadline = time.monotonic() + _READY_WITHIN
        # It asks for its key: another process may have taken the port first.
        headers = {"Authorization": f"Bearer {self.key}"}
        with open_client(Address(NAME, self._url), timeout=CONNECT_WITHIN, use_proxies=False) as http:
            while not control.should_end():
                if (code := self._process.poll() if self._process else 0) is not None:
                    last_words = log.last_words(self._log, self._options, {**os.environ, _KEY: str(self.key)})
                    self.stop()
                    raise log.error_of(code, last_words)
                with suppress(httpx2.HTTPError):
                    if http.get("v1/models", headers=headers).is_success:
                        return self._url
                if time.monotonic() > deadline:
                    self.stop()
                    raise ProviderUnavailableError(NAME, 0, f"not ready after {_READY_WITHIN:.0f} s")
                time.sleep(group.LOOK_EVERY)
        return None

    def explain_breakdown(self) -> ProviderUnavailableError | None:
        """See `Server.explain_breakdown`."""
        code = 0
        if self._process is not None:
            try:
                code = self._process.wait(_END_WITHIN)
            except subprocess.TimeoutExpired:
                return ProviderUnavailableError(NAME, 0, "the connection to the engine was lost")
        self.stop()
        if group.was_ended_from_outside(code):
            return ProviderUnavailableError(NAME, 0, "the engine was ended from outside")
        return None

    def stop(self) -> None:
        """End the server; the next `wait_until_ready` starts another one."""
        if self._process is not None:
            group.end(self._process, self._record)
            self._process = None
        if self._held_lock is not None:
            self._held_lock.close()
            self._held_lock = None

    def _start(self) -> None:
        end_leftover_servers(self._folder.make())
        self._held_lock = open(self._lock, "wb", opener=open_regular)  # noqa: SIM115 - held while it runs
        fcntl.flock(self._held_lock, fcntl.LOCK_EX)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        # It runs for weeks, and would write a log line for each row.
        command = [*self.command, "--host", "127.0.0.1", "--port", str(port), "--disable-uvicorn-access-log"]
        environment = {_KEY: str(self.key), **_KEEP_ALIVE}
        try:
            folder = self._folder.working_folder()
            self._process = group.start(
                command, folder=folder, record=self._record, log=self._log, environment=environment
            )
        except BaseException:
            self.stop()
            raise
