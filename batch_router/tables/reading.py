"""Tables, wherever their rows are: in a file, or in the caller's program."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..bounds import Bounds
from ..exceptions import ValidationError
from ..intake.recognise import recognise_text
from ..settings import Settings
from .delimited import read_delimited
from .objects import read_objects
from .opening import beginning_of, open_table, refuse, refuse_row

#: A row: its cells by the names of their columns.
TableRow = Mapping[str, object]
#: What callers give: rows that can be read more than once, or the path of a file.
TableLike = Iterable[TableRow] | str | Path

# What problems call a table that was given in the call.
_NAME = Path("table")
_NOT_YET = (
    "table: a {} comes in through Arrow, which needs pyarrow, and this version does not use it: "
    'give a list of dicts (pandas: `df.to_dict("records")`, polars: `df.to_dicts()`), or the path of a CSV file'
)
_ONCE = (
    "table: an iterator can be read only once, and its rows are needed again beside the answers: give a list, "
    "an object that can be iterated several times, or the path of a CSV or JSONL file"
)


class Table(NamedTuple):
    """A table.

    Attributes:
        name: what problems call it.
        read: its rows from the first one, each time it is called.
        settings: with the bounds of its rows.
    """

    name: Path
    read: Callable[[], Iterator[TableRow]]
    settings: Settings


def table_from(given: TableLike, settings: Settings) -> Table:
    """The table that a caller gives.

    Raises:
        ValidationError: it is none, or one of a kind that this version does not read; says which.
    """
    if isinstance(given, str | Path):
        return table_at(Path(given), Path(given), settings)
    if hasattr(given, "__arrow_c_stream__") or hasattr(given, "__dataframe__"):
        raise ValidationError(_NOT_YET.format(type(given).__name__))
    if not isinstance(given, Iterable) or isinstance(given, Mapping | bytes):
        raise ValidationError(f"table must be a list of dicts or the path of a file, not {type(given).__name__}")
    if iter(given) is given:
        raise ValidationError(_ONCE)
    return Table(_NAME, lambda: _mappings(given), settings)


def table_at(path: Path, name: Path, settings: Settings) -> Table:
    """The table in a file: CSV, TSV or JSON lines, in UTF-8 or UTF-16, perhaps compressed with gzip.

    Args:
        path: of the file.
        name: what problems call it.
        settings: with the bounds of inputs.
    """
    return Table(name, lambda: _rows_of(path, name, settings), settings)


def _mappings(rows: Iterable[TableRow]) -> Iterator[TableRow]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise refuse_row(_NAME, number, f"must be a mapping of columns to values, not {type(row).__name__}")
        yield row


def _rows_of(path: Path, name: Path, settings: Settings) -> Iterator[TableRow]:
    longest = settings.of(Bounds).max_row_bytes
    with open_table(path, name, settings) as stream:
        beginning = beginning_of(stream)
        text = beginning.decode("utf-8-sig", "replace").lstrip()
        if text.startswith(("{", "[", "<")):
            if what := recognise_text(text, is_whole=False):
                raise refuse(name, what)
            yield from read_objects(stream, name, longest)
        else:
            yield from read_delimited(stream, name, longest)
