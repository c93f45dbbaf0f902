"""Rows of the providers' own batch files as unified requests, for other providers than their own.

A reader takes what it knows by name, and all the rest is lost by name: nothing disappears. What says nothing is
nothing: null, an empty list, and what each reader lists as the default of its service.
"""

from collections.abc import Callable
from typing import Any

from ...core import Endpoint
from ...exceptions import ValidationError
from ...providers._openai_dialect.native import endpoint_of
from ...providers._openai_dialect.rows import URLS
from ...security.printable import printable
from ..faults import unknown_fields
from ..losses import Translated
from . import anthropic, gemini, openai_chat, openai_embeddings, openai_responses

_Reader = Callable[[Any, dict[str, Any]], Translated]
_OPENAI: dict[Endpoint, _Reader] = {
    Endpoint.CHAT: openai_chat.read,
    Endpoint.RESPONSES: openai_responses.read,
    Endpoint.EMBEDDINGS: openai_embeddings.read,
}
_SHOWN = 200


def translate(row: dict[str, Any], endpoint: Endpoint) -> Translated | None:
    """The row of another provider's batch file as a unified request; None: it is no such row.

    Args:
        row: the JSON object of a line.
        endpoint: of an OpenAI row that does not say what it asks for.

    Raises:
        ValidationError: it is one, and cannot be translated; says which field, and what to do.
    """
    if "body" in row:
        return _read_openai(row, endpoint)
    if "params" in row:
        _check_members(row, ("custom_id", "params"), "an Anthropic batch row")
        return anthropic.read(row.get("custom_id"), _object(row, "params"))
    if "request" in row:
        _check_members(row, ("key", "request"), "a Gemini batch row")
        return gemini.read(row.get("key"), _object(row, "request"))
    return None


def _read_openai(row: dict[str, Any], endpoint: Endpoint) -> Translated:
    _check_members(row, ("custom_id", "method", "url", "body"), "an OpenAI batch row")
    method, url = row.get("method"), row.get("url")
    if method is not None and str(method).upper() != "POST":
        raise ValidationError(f"method: must be 'POST', not {printable(str(method), _SHOWN)!r}")
    if url is not None:
        endpoint = endpoint_of(str(url))
    reader = _OPENAI.get(endpoint)
    if reader is None:
        raise ValidationError(
            f"url: {URLS[endpoint]!r} is only for providers that have it themselves; rows of these are translated for "
            f"others: {', '.join(URLS[each] for each in _OPENAI)}"
        )
    return reader(row.get("custom_id"), _object(row, "body"))


def _check_members(row: dict[str, Any], known: tuple[str, ...], kind: str) -> None:
    if unknown := [name for name in row if name not in known]:
        raise ValidationError(unknown_fields(unknown, known, f"{kind} has: {', '.join(known)}"))


def _object(row: dict[str, Any], name: str) -> dict[str, Any]:
    value = row[name]
    if not isinstance(value, dict):
        raise ValidationError(f"{name}: must be an object")
    return value
