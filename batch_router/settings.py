"""The environment, read once into one record."""

import logging
import math
import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .exceptions import ValidationError

log = logging.getLogger("batch_router")

PREFIX = "BATCH_ROUTER_"
_BASE_URL = "_BASE_URL"
# Read by the simulator's engine, in the environment of its worker.
_OTHERS = frozenset({"VLLM_SCENARIO"})
_TABLES = ("vllm_options", "gpu_queues")

#: Options of vLLM that are not for anybody to set: how we reach an engine, and what it reads and writes.
OUR_VLLM_OPTIONS = frozenset(
    {"api-key", "host", "input-file", "model", "output-file", "port", "root-path", "served-model-name", "uds"}
    | {"ssl-ca-certs", "ssl-cert-reqs", "ssl-certfile", "ssl-keyfile"}
)

_GPU_QUEUE = r"^gpu(\.[A-Za-z0-9_-]+)?$"
GpuQueue = Annotated[str, Meta(pattern=_GPU_QUEUE)]
# Without a dot, a fleet's names are never those of a fleet whose prefix goes on from there.
Prefix = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this process works. Times are seconds.

    Attributes:
        home: local data: the embedded server, and the payloads below `generated/`.
        redis_url: the state; None: the embedded server of `home`.
        broker_url: Celery's messages; None: the next database of the same server.
        prefix: what all keys, queues and exchanges of this fleet begin with; several fleets may share a server.
        celery_config: a module with Celery settings that override ours.
        credentials: a TOML file of keys by name.
        lease: how long a claim holds without being renewed.
        renew_every: how often it is renewed.
        grace: how long a message may take before the sweep sends another.
        sweep_every: how often each worker looks for what is overdue.
        queue_gate: no further messages for a queue longer than this; what is in it already will do.
        http_timeout: bound on each wait for a provider; an answer that takes longer must come at 1 kB/s or more.
        max_shard_rows: rows per job, below the provider's own limit.
        max_shard_bytes: bytes per job, likewise.
        vllm_command: how vLLM is started.
        vllm_engine: a server that stays while it is wanted, or a run per chunk of rows.
        vllm_options: more options of it for every batch, without their dashes; true: a flag.
        gpu_queues: model -> the queue of the workers that hold it, `*` for all others; empty: all on `gpu`.
        base_urls: provider -> where its API is, if not at its usual address.
    """

    home: Path = Path(".batch_router")
    redis_url: str | None = None
    broker_url: str | None = None
    prefix: Prefix = "batch_router"
    celery_config: str | None = None
    credentials: Path | None = None
    lease: float = 15
    renew_every: float = 5
    grace: float = 5
    sweep_every: float = 1
    queue_gate: int = 50
    http_timeout: float = 60
    max_shard_rows: int | None = None
    max_shard_bytes: int | None = None
    vllm_command: str = "vllm"
    vllm_engine: Literal["serve", "run-batch"] = "serve"
    vllm_options: dict[str, bool | int | float | str] = msgspec.field(default_factory=dict)
    gpu_queues: dict[str, GpuQueue] = msgspec.field(default_factory=dict)
    base_urls: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("lease", "renew_every", "grace", "sweep_every", "http_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValidationError(f"{name} must be a number of seconds, more than 0")
        for name in ("max_shard_rows", "max_shard_bytes"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValidationError(f"{name} must be at least 1")
        check_vllm_options("vllm_options", self.vllm_options)
        if self.renew_every >= self.lease:
            raise ValidationError("renew_every must be less than lease, or every step loses its claim")

    def __repr__(self) -> str:
        """All but what may hold passwords: the URLs of servers, and options."""
        shown = {
            name: getattr(self, name) for name in self.__struct_fields__ if not name.endswith(("_url", "_options"))
        }
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings of an environment, by default this process's: `BATCH_ROUTER_LEASE=30` and so on.

        Raises:
            ValidationError: a value has the wrong type or is out of range; names the variable.
        """
        if environ is None:
            environ = os.environ
            _warn_of_unknown(cls, environ)
        values: dict[str, Any] = {}
        for name in cls.__struct_fields__:
            value = environ.get(PREFIX + name.upper())
            if value:
                values[name] = _read_json(name, value) if name in _TABLES else value
        values["base_urls"] = {
            variable.removeprefix(PREFIX).removesuffix(_BASE_URL).lower(): url
            for variable, url in environ.items()
            if variable.startswith(PREFIX) and variable.endswith(_BASE_URL) and url
        }
        try:
            return msgspec.convert(values, cls, strict=False, dec_hook=_to_path)
        except msgspec.ValidationError as error:
            message, _, where = str(error).partition(" - at `$.")
            raise ValidationError(f"{PREFIX}{where.rstrip('`').upper() or '*'}: {message}") from error


def _warn_of_unknown(kind: type[Settings], environ: Mapping[str, str]) -> None:
    known = frozenset(field.upper() for field in kind.__struct_fields__ if field != "base_urls")
    names = {variable.removeprefix(PREFIX) for variable in environ if variable.startswith(PREFIX)}
    for name in sorted(names - known - _OTHERS):
        if not name.endswith(_BASE_URL):
            _warn_of(name, known)


@cache
def _warn_of(name: str, known: frozenset[str]) -> None:
    """Once in a process; settings are read in several places."""
    near = get_close_matches(name, known, n=1)
    hint = f": did you mean {PREFIX}{near[0]}?" if near else ""
    log.warning("%s%s is not a setting of batch_router%s", PREFIX, name, hint)


def is_gpu_queue(name: str) -> bool:
    """Whether a queue is for workers with GPUs: `gpu`, or `gpu.<name>` for some of the models."""
    return re.fullmatch(_GPU_QUEUE, name) is not None


def check_vllm_options(name: str, options: Iterable[str]) -> None:
    """Refuse options of vLLM that are ours.

    Args:
        name: what has them, for the error.
        options: without their dashes; vLLM takes underscores, too.

    Raises:
        ValidationError: says which.
    """
    if ours := sorted(OUR_VLLM_OPTIONS.intersection(option.replace("_", "-") for option in options)):
        raise ValidationError(f"{name}: {ours[0]!r} is set by batch_router itself; leave it out")


def _read_json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValidationError(f"{PREFIX}{name.upper()}: {error}; a JSON object is wanted") from error


def _to_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)
