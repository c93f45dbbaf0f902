"""JSON lines of any shape: each an object whose names are its columns."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..bounds import beyond
from ..intake.broken import explain_broken
from ..jsonl import TOO_DEEP, Line, LongLine, read_lines
from .opening import refuse


def read_objects(stream: BinaryIO, name: Path, longest: int) -> Iterator[dict[str, object]]:
    """The rows; blank lines are passed over.

    Args:
        stream: in UTF-8; is read in order.
        name: of the table.
        longest: bytes of a line.

    Raises:
        ValidationError: with the line, what is wrong there, and what to do.
    """
    for number, line in enumerate(read_lines(stream, longest), 1):
        if isinstance(line, LongLine) or not line.isspace():
            yield _object(line, name, number, longest)


def _object(line: Line, name: Path, number: int, longest: int) -> dict[str, object]:
    if isinstance(line, LongLine):
        raise refuse(name, f"{line.size:,} bytes, {beyond('max_row_bytes', longest)}", number)
    try:
        value = msgspec.json.decode(line)
    except RecursionError:
        raise refuse(name, TOO_DEEP, number) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refuse(name, explain_broken(line, error), number) from None
    if not isinstance(value, dict):
        raise refuse(name, f"must be an object, not {type(value).__name__}", number)
    return value
