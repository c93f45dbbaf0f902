"""What is around every message: kombu's JSON, with the body in base64. It is opened strictly, and made again."""

import binascii
from base64 import b64encode
from functools import cache
from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
from msgspec import Meta, Raw

from ...bounds import Bounds, beyond
from ...settings import Settings

#: An id of Celery's, or one that a caller chose. Logs and Flower show it.
Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]{1,100}\Z")]
#: The name of a worker.
Node = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.@:+-]{1,200}\Z")]

# Bytes of a sealed message besides its body.
_AROUND = 4096
# Of all that msgspec raises: no JSON, no text, another form, a number beyond its type, nested too deeply.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


class Refused(Exception):  # noqa: N818 - not an error: it happens
    """A message is not one that we take; `str` is why, in words of ours."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object without parts."""


class _Properties(msgspec.Struct):
    body_encoding: Literal["base64"]


class _Envelope(msgspec.Struct):
    body: str
    headers: Raw
    properties: _Properties
    content_type: Literal["application/json"] = msgspec.field(name="content-type")
    content_encoding: Literal["utf-8"] = msgspec.field(name="content-encoding")


@cache
def bounds() -> Bounds:
    """How large a message may be."""
    return Settings.from_env().of(Bounds)


def parse(raw: bytes | Raw, kind: Any) -> Any:
    """A part of a message.

    Raises:
        Refused: it has another form.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except _UNREADABLE:
        raise Refused("malformed") from None


def open_envelope(raw: bytes, *, quoted: bool = False) -> tuple[Raw, bytes]:
    """The headers and the body of a message, as JSON.

    Args:
        raw: the message.
        quoted: whether it may be one that was read before, whose body has the rows as a text: see `check_size`.

    Raises:
        Refused: it is too large, or none of kombu's with a body of JSON.
    """
    check_size(len(raw) // 2 - _AROUND if quoted else len(raw))
    envelope: _Envelope = parse(raw, _Envelope)
    try:
        body = binascii.a2b_base64(envelope.body, strict_mode=True)
    except ValueError:
        raise Refused("malformed") from None
    if _values(body) > (most := bounds().max_values):
        raise Refused(f"too_many_values: {beyond('max_values', most)}")
    return envelope.headers, body


def check_size(size: int) -> None:
    """Refuse a message of more bytes than are taken."""
    if size > (most := bounds().max_message_bytes):
        raise Refused(f"too_large: {beyond('max_message_bytes', most)}")


def _values(body: bytes) -> int:
    """At least as many as there are; commas and brackets in texts count, too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def seal(headers: dict[str, Any], body: object, *, exchange: str = "", queue: str = "", task_id: str = "") -> bytes:
    """A message of these parts, under a tag that no other message has."""
    properties = {
        "correlation_id": task_id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": exchange, "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    made = {
        "body": b64encode(msgspec.json.encode(body)).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": properties,
    }
    return msgspec.json.encode(made)
