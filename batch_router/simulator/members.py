"""Where the members of a JSON object stand in its bytes, so that one can be read or replaced and the rest stays."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_read = json.JSONDecoder(strict=False).raw_decode
_START = re.compile(r"[^{]*\{[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n,:]*")


class Member(NamedTuple):
    """A member of an object, and where its value begins and ends, in bytes."""

    name: str
    start: int
    end: int


def read_members(content: bytes) -> Iterator[Member]:
    """The members of an object in their order, doubled names included; nested ones are part of their value.

    Raises:
        ValueError: the bytes are no JSON object.
    """
    text = content.decode("latin-1")  # a character per byte
    start = _START.match(text)
    at = start.end() if start else len(text)
    while not text.startswith("}", at):
        name, at = _read(text, at)
        begin = _skip(text, at)
        _, end = _read(text, begin)
        yield Member(str(name), begin, end)
        at = _skip(text, end)


def find_member(content: bytes, name: str) -> Member | None:
    """The member of that name; the last of several, which is the one that parsers keep."""
    found = [member for member in read_members(content) if member.name == name]
    return found[-1] if found else None


def _skip(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    assert between  # it also matches nothing
    return between.end()
