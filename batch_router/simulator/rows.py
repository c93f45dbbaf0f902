"""A job's rows: a file with one JSON object per line, of which only the offsets are held in memory."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

_decode, _encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        number: counted from 1, blank lines included.
        offset: where it begins, in bytes.
    """

    number: int
    offset: int
    content: bytes


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, one by one."""
    offset = 0
    with path.open("rb") as stream:
        for number, content in enumerate(stream, 1):
            if not content.isspace():
                yield Line(number, offset, content)
            offset += len(content)


def read_rows(path: Path, offsets: list[int]) -> Iterator[dict[str, Any]]:
    """The rows at these offsets, in this order."""
    with path.open("rb") as stream:
        for offset in offsets:
            stream.seek(offset)
            yield read_json(stream.readline())


def read_json(content: bytes) -> Any:
    """The value of a line.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return _decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # `json` reads more: NaN, lone surrogates, a BOM
        return json.loads(content)


def seeded(seed: int, name: str) -> random.Random:
    """Random choices that are the same in every run for this seed and name."""
    return random.Random(f"{seed}:{name}")  # noqa: S311 - not a secret


def encode_line(row: dict[str, Any]) -> bytes:
    """The row as a line."""
    return json.dumps(row).encode() + b"\n"


def encode_whole(row: dict[str, Any]) -> bytes:
    """The same line, several times faster, of a row in which all numbers are whole: `msgspec` writes others its way."""
    try:
        line = msgspec.json.format(_encode(row), indent=0)
    except UnicodeEncodeError:  # a lone surrogate
        return encode_line(row)
    return line + b"\n" if line.isascii() and b"\x7f" not in line else encode_line(row)
