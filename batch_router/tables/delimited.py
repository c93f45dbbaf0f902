"""CSV and TSV, as RFC 4180 has them; semicolons and bars separate, too, where the first line has no comma or tab."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..bounds import beyond
from ..jsonl import LongLine, read_lines
from .opening import refuse

_DELIMITERS = ",\t;|"


def read_delimited(stream: BinaryIO, name: Path, longest: int) -> Iterator[dict[str, object]]:
    """The rows of a table whose first line names its columns; blank lines are passed over.

    Args:
        stream: in UTF-8; is read in order.
        name: of the table.
        longest: bytes of a line, and characters of a cell.

    Raises:
        ValidationError: with the line, what is wrong there, and what to do.
    """
    # The bound is csv's own, one for the whole process: its default is shorter than many a prompt.
    csv.field_size_limit(max(csv.field_size_limit(), longest))
    lines = _lines(stream, name, longest)
    place, first = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (0, ""))
    if not place:
        raise refuse(name, "is empty: there is nothing to send")
    columns = _columns(first, name, place)
    number = 0
    for number, cells in _cells(lines, _delimiter(first), name, place + 1):
        if len(cells) != len(columns):
            raise refuse(name, _unequal(columns, cells), number)
        yield dict(zip(columns, cells, strict=True))
    if not number:
        raise refuse(name, "has a first line with the names of columns, and no rows")


def _cells(lines: Iterator[str], delimiter: str, name: Path, start: int) -> Iterator[tuple[int, list[str]]]:
    """`(line, cells)` of each row that is not blank; a row may have several lines, and begins at this one."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    begin = start
    try:
        for cells in rows:
            if cells:
                yield begin, cells
            begin = start + rows.line_num
    except csv.Error as error:
        raise refuse(name, _broken(error), begin) from None


def _broken(error: csv.Error) -> str:
    if str(error).startswith(("unexpected end of data", "field larger")):
        return "a quoted cell that begins here has no end; a quote within a cell is written twice"
    if "new-line character" in str(error):
        return "a carriage return stands alone; save the file with line ends of one kind, or put the cell in quotes"
    return f"not CSV: {error}; a quote within a cell is written twice"


def _unequal(columns: list[str], cells: list[str]) -> str:
    return (
        f"{len(cells)} cells, and the first line names {len(columns)} columns; "
        "put a cell that has the separator or a line end in it in quotes"
    )


def _delimiter(first: str) -> str:
    """What separates the names of the columns: the first that does so at all."""
    return next((each for each in _DELIMITERS if len(next(csv.reader([first], delimiter=each))) > 1), ",")


def _columns(first: str, name: Path, place: int) -> list[str]:
    try:
        columns = next(csv.reader([first], delimiter=_delimiter(first), strict=True))
    except csv.Error as error:
        raise refuse(name, _broken(error), place) from None
    for number, column in enumerate(columns, 1):
        if not column.strip():
            raise refuse(name, f"column {number} has no name; write one, or delete the column", place)
        if column in columns[: number - 1]:
            raise refuse(name, f"two columns are named {column!r}; rename one", place)
    return columns


def _lines(stream: BinaryIO, name: Path, longest: int) -> Iterator[str]:
    for number, line in enumerate(read_lines(stream, longest), 1):
        if isinstance(line, LongLine):
            raise refuse(name, f"{line.size:,} bytes, {beyond('max_row_bytes', longest)}", number)
        if b"\0" in line:
            raise refuse(name, "a NUL character, which no text has; export the table again", number)
        try:
            yield line.decode()
        except UnicodeDecodeError as wrong:
            place = f"at byte {wrong.start + 1} (0x{line[wrong.start]:02x})"
            raise refuse(name, f"not valid UTF-8 {place}; save the file as UTF-8", number) from None
