"""The environment, read once into one record."""

import math
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_origin

import msgspec
from msgspec import Meta

from .exceptions import ValidationError
from .security.logs import get_logger
from .security.masking import mask_url

log = get_logger(__name__)

PREFIX = "BATCH_ROUTER_"
_BASE_URL = "_BASE_URL"
# Read by the simulator's engine, in the environment of its worker.
_OTHERS = frozenset({f"{PREFIX}VLLM_SCENARIO"})
# Fields of `Settings` that have no variable of their own.
_NOT_VARIABLES = frozenset({"base_urls", "sections", "others"})

# Without a dot, a fleet's names are never those of a fleet whose prefix goes on from there.
Prefix = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that only one provider has, from the same environment: the field `x` is `BATCH_ROUTER_X`.

    A subclass is known when its module is imported; the folder of a provider imports its own.
    """


T = TypeVar("T", bound=msgspec.Struct)
S = TypeVar("S", bound=Section)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this process works. Times are seconds.

    Attributes:
        home: local data: the embedded server, and the payloads below `generated/`.
        redis_url: the state; None: the embedded server of `home`.
        broker_url: Celery's messages; None: the next database of the same server.
        callback_brokers: name of a Celery app -> the URL of its broker: tasks of that app are sent there when a batch
            ends. An app that is not named has our broker.
        redis_ca: the file of the CA that signs for `rediss://`; None: the system's.
        prefix: what all keys, queues and exchanges of this fleet begin with; several fleets may share a server.
        celery_config: a module with Celery settings that override ours.
        credentials: a TOML file of keys by name.
        webhook_secret: what webhooks are signed with; several secrets are separated by spaces.
        webhook_private: whether webhooks may go to private addresses, and over `http`.
        simulated: the providers are simulated ones; a storage has batches of these or of real ones.
        prices: a TOML file of prices; see `prices.py`.
        services: a TOML file of services that speak OpenAI's wire; each is a provider by its name.
        lease: how long a claim holds without being renewed.
        renew_every: how often it is renewed.
        grace: how long a message may take before the sweep sends another.
        sweep_every: how often each worker looks for what is overdue.
        queue_gate: no further messages for a queue longer than this; what is in it already will do.
        http_timeout: what connecting to a provider, sending a request and receiving its answer may take each; a
            request may take a second more for each 64 KiB of rows, an answer for each KiB.
        visibility: seconds after which a provider lists a job that it made, whatever happens there; None: what the
            provider's class, or its entry in `services`, says.
        log_format: of what our processes log: lines of text, or of JSON.
        keep_shards: how long the shards of a batch that has ended stay in the store.
        keep_payloads: how long its rows and results stay in the storage; None: until it is purged.
        max_shard_rows: rows per job, below the provider's own limit.
        max_shard_bytes: bytes per job, likewise.
        base_urls: provider -> where its API is, if not at its usual address.
        sections: settings that only one provider has; see `of`.
        others: the variables `BATCH_ROUTER_*` that no setting has, for sections that are imported later.
    """

    home: Path = Path(".batch_router")
    redis_url: str | None = None
    broker_url: str | None = None
    callback_brokers: dict[str, str] = msgspec.field(default_factory=dict)
    redis_ca: Path | None = None
    prefix: Prefix = "batch_router"
    celery_config: str | None = None
    credentials: Path | None = None
    webhook_secret: str | None = None
    webhook_private: bool = False
    prices: Path | None = None
    services: Path | None = None
    simulated: bool = False
    lease: float = 10
    renew_every: float = 3
    grace: float = 5
    sweep_every: float = 1
    queue_gate: int = 50
    http_timeout: float = 60
    visibility: float | None = None
    log_format: Literal["text", "json"] = "text"
    keep_shards: float = 7 * 86_400
    keep_payloads: float | None = None
    max_shard_rows: int | None = None
    max_shard_bytes: int | None = None
    base_urls: dict[str, str] = msgspec.field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    others: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("lease", "renew_every", "grace", "sweep_every", "http_timeout", "keep_shards", "keep_payloads"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValidationError(f"{name} must be a number of seconds, more than 0")
        for name in ("max_shard_rows", "max_shard_bytes"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValidationError(f"{name} must be at least 1")
        if self.visibility is not None and not 0 <= self.visibility < math.inf:
            raise ValidationError("visibility must be a number of seconds, 0 or more")
        if self.renew_every >= self.lease:
            raise ValidationError("renew_every must be less than lease, or every step loses its claim")

    def __repr__(self) -> str:
        """All but what may hold passwords: the URLs of servers, and what providers have of their own."""
        hidden = ("_url", "_secret", "callback_brokers", "sections", "others")
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if not name.endswith(hidden)}
        shown["base_urls"] = {name: mask_url(url) for name, url in self.base_urls.items()}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def of(self, kind: type[S]) -> S:
        """The settings that only one provider has: those that were given or read, else the defaults.

        Raises:
            ValidationError: a variable of them has the wrong type; names it.
        """
        for section in self.sections:
            if isinstance(section, kind):
                return section
        return _read(kind, self.others)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings of an environment, by default this process's: `BATCH_ROUTER_LEASE=30` and so on.

        Raises:
            ValidationError: a value has the wrong type or is out of range; names the variable.
        """
        if environ is None:
            environ = os.environ
            _warn_of_misspelt_variables()
        ours = {name: value for name, value in environ.items() if name.startswith(PREFIX) and value}
        base_urls = {
            name.removeprefix(PREFIX).removesuffix(_BASE_URL).lower(): url
            for name, url in ours.items()
            if name.endswith(_BASE_URL)
        }
        named = (kind for kind in Section.__subclasses__() if not variables_of(kind).isdisjoint(ours))
        sections = tuple(_read(kind, ours) for kind in named)
        others = {name: value for name, value in ours.items() if name not in known_variables()}
        others = {name: value for name, value in others.items() if not name.endswith(_BASE_URL)}
        return _read(cls, ours, base_urls=base_urls, sections=sections, others=others)


def known_variables() -> frozenset[str]:
    """The names of all variables that are read, but `BATCH_ROUTER_<PROVIDER>_BASE_URL`."""
    return variables_of(Settings).union(*map(variables_of, Section.__subclasses__()))


def variables_of(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The names of the variables that `Settings`, or one section, is read from."""
    return frozenset(PREFIX + name.upper() for name in kind.__struct_encode_fields__ if name not in _NOT_VARIABLES)


def _read(kind: type[T], environ: Mapping[str, str], **more: object) -> T:
    """A record whose field `x` is the variable `BATCH_ROUTER_X`; tables are JSON."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in _NOT_VARIABLES:
            continue
        if text := environ.get(PREFIX + field.encode_name.upper()):
            is_table = get_origin(field.type) in (dict, list)
            values[field.encode_name] = _read_json(field.encode_name, text) if is_table else text
    try:
        read: T = msgspec.convert(values, kind, strict=False, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        first, _, rest = message.partition(" ")
        if not where and first in kind.__struct_fields__:  # a check of ours, which begins with the field
            where, message = first, rest
        raise ValidationError(f"{PREFIX}{where.rstrip('`').upper() or '*'}: {message}") from error
    return msgspec.structs.replace(read, **more)


def warn_of_unknown_variables(providers: Iterable[str]) -> None:
    """Name the variables `BATCH_ROUTER_*` that nothing reads, and those that nearly begin so.

    Args:
        providers: the names of all providers; this process has imported them.
    """
    known = known_variables() | _OTHERS | {f"{PREFIX}{name.upper()}{_BASE_URL}" for name in providers}
    for name in sorted(os.environ.keys() - known):
        is_ours = name.startswith(PREFIX)
        if is_ours or (name.startswith(PREFIX[:5]) and _nearest(name, known)):
            _warn_of(name, _nearest(name, known))


def _warn_of_misspelt_variables() -> None:
    """The same for names that are nearly a known one: others may be a provider's that is not imported yet."""
    known = known_variables() | _OTHERS
    names = (name for name in os.environ if name.startswith(PREFIX) and not name.endswith(_BASE_URL))
    for name in sorted({*names} - known):
        if near := _nearest(name, known):
            _warn_of(name, near)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The known variable that was probably meant; the part that all have in common does not make two names alike."""
    short = [each.removeprefix(PREFIX) for each in known]
    near = get_close_matches(name.removeprefix(PREFIX), short, n=1) if name.startswith(PREFIX) else []
    return PREFIX + near[0] if near else next(iter(get_close_matches(name, known, n=1, cutoff=0.9)), None)


@cache
def _warn_of(name: str, near: str | None) -> None:
    """Once in a process; settings are read in several places."""
    log.warning("%s is not a setting of batch_router%s", name, f": did you mean {near}?" if near else "")


def _read_json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ValidationError(f"{PREFIX}{name.upper()}: {error}; JSON is wanted") from error


def _to_path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)
