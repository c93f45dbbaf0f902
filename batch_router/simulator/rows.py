"""A job's rows: a file with one JSON object per line, of which only the offsets are held in memory."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


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
            if content.strip():
                yield Line(number, offset, content)
            offset += len(content)


def read_rows(path: Path, offsets: list[int]) -> Iterator[dict[str, Any]]:
    """The rows at these offsets, in this order."""
    with path.open("rb") as stream:
        for offset in offsets:
            stream.seek(offset)
            yield json.loads(stream.readline())


def seeded(seed: int, name: str) -> random.Random:
    """Random choices that are the same in every run for this seed and name."""
    return random.Random(f"{seed}:{name}")  # noqa: S311 - not a secret


def encode_line(row: dict[str, Any]) -> bytes:
    """The row as a line."""
    return json.dumps(row).encode() + b"\n"
