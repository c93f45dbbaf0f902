"""Rows as the lines of a file."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from ..exceptions import ValidationError
from .reading import TableRow
from .template import text_of

# What spreadsheet programs take for a formula, at the beginning of a cell: see OWASP's "CSV Injection".
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def csv_lines(rows: Iterable[TableRow]) -> Iterator[bytes]:
    """The rows as CSV in UTF-8; the columns are those of the first row.

    A cell that a spreadsheet program would run as a formula gets an apostrophe in front.

    Raises:
        ValidationError: a row has a column that the first one has not.
    """
    columns: list[str] | None = None
    for number, row in enumerate(rows, 1):
        if columns is None:
            columns = list(row)
            yield _csv_line(columns)
        if more := row.keys() - set(columns):
            raise ValidationError(
                f"row {number} has a column {min(more)!r} that the first row has not, and CSV has the same columns "
                "for all: use --format jsonl"
            )
        yield _csv_line(row.get(column) for column in columns)


def _csv_line(values: Iterable[object]) -> bytes:
    line = io.StringIO()
    # csv puts a cell in quotes for a line end that is in this terminator, and for no other.
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, values))
    return line.getvalue().removesuffix("\r\n").encode("utf-8", "backslashreplace") + b"\n"


def json_lines(rows: Iterable[TableRow]) -> Iterator[bytes]:
    """The rows as JSON lines."""
    encode = msgspec.json.Encoder().encode
    return (encode(row) + b"\n" for row in rows)


def parquet_lines(_: Iterable[TableRow]) -> Iterator[bytes]:
    """Refuse Parquet.

    Raises:
        ValidationError: always.
    """
    raise ValidationError("--format parquet needs pyarrow, which this version does not use: take csv or jsonl")


#: The lines of each format, by its name.
FORMATS: Final[dict[str, Callable[[Iterable[TableRow]], Iterator[bytes]]]] = {
    "jsonl": json_lines,
    "csv": csv_lines,
    "parquet": parquet_lines,
}


def _cell(value: object) -> str:
    text = text_of(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
