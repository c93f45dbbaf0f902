"""Rows in the dialect of the provider that they go to: what they say is not looked at, and sent as it stands."""

import json
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from ..exceptions import ValidationError
from .config import OutputSchema
from .enums import Endpoint
from .record import explain

_T = TypeVar("_T")
# Only says where a value ends: numbers of any length are passed over.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


class NativeRow(msgspec.Struct, frozen=True, gc=False):
    """A row of one of the provider's own batch files.

    Attributes:
        custom_id: the user's name for it.
        model: the provider's model id; None: the row names none.
        endpoint: what it asks for.
        body: the request, one JSON object: the very bytes that the user wrote.
        needs_model: whether the provider wants a model for it.
        inputs: how many it counts as, where the provider limits how many inputs a job may have.
        says_form: whether its body may say what form the answer has.
        output_schema: the batch's, where it was written into the body.
    """

    custom_id: str
    model: str | None
    endpoint: Endpoint
    body: msgspec.Raw
    needs_model: bool = True
    inputs: int = 1
    says_form: bool = False
    output_schema: OutputSchema | None = None


def read_body(decode: Callable[[msgspec.Raw], _T], body: msgspec.Raw, name: str) -> _T:
    """The few members of a body that are looked at; `name` is what a row calls its body.

    Raises:
        ValidationError: it is no object, or one of them has another type; says which.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise ValidationError(explain(error, name)) from None


def with_member(body: msgspec.Raw, name: str, value: object) -> msgspec.Raw:
    """A JSON object with this member; all else stays as it is.

    One that it lacks is put in front; one that it has gets the value in its place, wherever it stands. Every other byte
    stays.
    """
    content, written = bytes(body), msgspec.json.encode(value)
    if f'"{name}"'.encode() in content or b"\\u" in content:
        text = content.decode()
        if spans := [span for key, span in _members(text) if key == name]:
            return msgspec.Raw(_with_spans(text, spans, written.decode()).encode())
    rest = content[1:]
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return msgspec.Raw(b"{" + msgspec.json.encode(name) + b":" + written + comma + rest)


def _members(text: str) -> Iterator[tuple[str, slice]]:
    """The names of a valid object's members, and where their values stand."""
    place = _skip_space(text, text.index("{") + 1)
    while text[place] != "}":
        name, place = _scan(text, place)
        place = _skip_space(text, _skip_space(text, place) + 1)
        _, end = _scan(text, place)
        yield name, slice(place, end)
        place = _skip_space(text, end)
        if text[place] == ",":
            place = _skip_space(text, place + 1)


def _skip_space(text: str, place: int) -> int:
    while text[place] in " \t\r\n":
        place += 1
    return place


def _with_spans(text: str, spans: list[slice], value: str) -> str:
    for span in reversed(spans):
        text = text[: span.start] + value + text[span.stop :]
    return text


def member_of(body: msgspec.Raw, name: str) -> msgspec.Raw | None:
    """The member of a JSON object; None: it has none, or one that is null."""
    content = bytes(body)
    if f'"{name}"'.encode() not in content:
        return None
    value = msgspec.json.decode(content, type=dict[str, msgspec.Raw]).get(name)
    return None if value is None or bytes(value) == b"null" else value


def with_inner_member(body: msgspec.Raw, outer: str, name: str, value: object) -> msgspec.Raw | None:
    """A JSON object with this member in its object `outer`, which is made if it lacks it; None: it has the member."""
    around = member_of(body, outer)
    if around is None:
        return with_member(body, outer, {name: value})
    if not bytes(around).startswith(b"{") or member_of(around, name) is not None:
        return None
    return with_member(body, outer, with_member(around, name, value))
