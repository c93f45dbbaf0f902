"""Services that speak OpenAI's wire: entries of the file that BATCH_ROUTER_SERVICES names, each a provider.

[groq]
base_url = "https://api.groq.com/openai/v1"
key_variables = ["GROQ_API_KEY"]
windows = ["24h", "7d"]
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ..core import BatchStatus, Endpoint
from ..exceptions import ValidationError
from ..security.files import read_private
from ..security.printable import printable
from ..system_errors import describe
from ._openai_dialect.native import OpenAIRows
from ._openai_dialect.schema import STRICT
from .base import Limits, Provider
from .openai import OpenAIProvider
from .openai.service import Service

_LONGEST = 1 << 20  # bytes of the file
_SHOWN = 200
# `BATCH_ROUTER_<NAME>_BASE_URL` is the variable of its address.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VISIBLE = re.compile(r"[!-~]+")

_Variable = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,99}\Z")]
_Window = Annotated[str, Meta(pattern=r"^[0-9]{1,4}[a-z]{1,2}\Z")]
_Word = Annotated[str, Meta(min_length=1, max_length=100)]
_Status = Literal["validating", "in_progress", "cancelling", "completed", "failed", "cancelled", "expired"]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an entry may say.

    Attributes:
        base_url: where the service is, up to the `/v1` or what it has in place of that.
        key_variables: the environment variables that may hold the key; by default `<NAME>_API_KEY`.
        windows: the completion windows that it has; the first is the default.
        statuses: its words for the status of a job that are not OpenAI's, and which of ours each means.
        endpoints: those that it has; by default OpenAI's.
        rows: the most rows of a job.
        bytes: the most bytes of a job.
        visibility: seconds after which a job that was made is in the list of jobs, whatever happens there.
    """

    base_url: str
    key_variables: Annotated[list[_Variable], Meta(min_length=1)] | None = None
    windows: Annotated[list[_Window], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["24h"])
    statuses: dict[_Word, _Status] = msgspec.field(default_factory=dict)
    endpoints: Annotated[list[Endpoint], Meta(min_length=1)] | None = None
    rows: Annotated[int, Meta(ge=1, le=OpenAIProvider.limits.rows)] = OpenAIProvider.limits.rows
    bytes: Annotated[int, Meta(ge=1024)] = OpenAIProvider.limits.bytes
    visibility: Annotated[float, Meta(ge=0, le=86_400)] = OpenAIProvider.visibility


def read_services(file: Path) -> dict[str, type[Provider]]:
    """The providers that a file describes, by name.

    Raises:
        ValidationError: it cannot be read, it is not its owner's alone, or an entry is wrong; says which.
    """
    content = _read(file)
    where = f"BATCH_ROUTER_SERVICES: {printable(str(file), _SHOWN)}"
    try:
        return {name: _provider(name, entry) for name, entry in tomllib.loads(content.decode()).items()}
    except ValidationError as error:
        raise ValidationError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValidationError(f"{where} is not a TOML file: {printable(str(error), _SHOWN)}") from None


def _read(file: Path) -> bytes:
    try:
        return read_private(file, _LONGEST)
    except (FileNotFoundError, ValidationError) as error:
        why = describe(error) if isinstance(error, OSError) else str(error)
        raise ValidationError(f"BATCH_ROUTER_SERVICES: {printable(why, 2 * _SHOWN)}") from None


def _provider(name: str, value: object) -> type[Provider]:
    shown = printable(name, _SHOWN)
    if not _NAME.fullmatch(name):
        raise ValidationError(f"[{shown}]: a name has up to 40 lower-case letters, digits and '_', a letter first")
    try:
        entry = msgspec.convert(value, _Entry)
        return _make(name, entry)
    except (msgspec.ValidationError, ValidationError) as error:
        raise ValidationError(f"[{shown}]: {_explain(error)}") from None


def _explain(error: Exception) -> str:
    what, _, where = str(error).partition(" - at `$.")
    return printable(f"{where.rstrip('`')}: {what}" if where else what, _SHOWN)


def _make(name: str, entry: _Entry) -> type[Provider]:
    """A class, as every other provider is one: a batch finds it by its name alone."""
    _check_url(entry.base_url)
    statuses = {word: BatchStatus(status) for word, status in entry.statuses.items()}
    service = Service(name, entry.base_url, windows=tuple(entry.windows), statuses=statuses)
    facts = {
        "__module__": OpenAIProvider.__module__,
        "__doc__": f"{name}, a service that speaks OpenAI's wire.",
        "name": name,
        "service": service,
        "windows": service.windows,
        "models": None,
        **_facts_of(entry.endpoints),
        "limits": Limits(rows=entry.rows, bytes=entry.bytes),
        "visibility": entry.visibility,
        "key_variables": tuple(entry.key_variables or (f"{name.upper()}_API_KEY",)),
    }
    return type(f"{name.title().replace('_', '')}Provider", (OpenAIProvider,), facts)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not _VISIBLE.fullmatch(url):
        raise ValidationError("base_url must begin with https:// or http:// and a host, and has no spaces")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValidationError("base_url has no user, password or parameters: the key is in one of key_variables")


def _facts_of(endpoints: list[Endpoint] | None) -> dict[str, object]:
    """What the class says of endpoints, where the entry does."""
    if endpoints is None:
        return {}
    lacks = {name: each for name, each in OpenAIProvider.endpoints.items() if name in endpoints}
    return {"endpoints": lacks, "native": OpenAIRows(endpoints, STRICT)}
