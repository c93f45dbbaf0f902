"""Results as columns, beside the table that their requests were made of."""

from collections.abc import Iterator

from ..core import Price, UnifiedResult
from ..exceptions import ValidationError
from ..road.context import Context
from ..road.records import read_record
from ..road.submission import Submission
from ..security.printable import printable
from ..state.items import Batch
from ..tables.answers import AnswerColumns
from ..tables.reading import Table, TableLike, TableRow, table_from
from ..tables.template import text_of

_SHOWN = 100

#: Results in input order, each with the number of its row, counted from 0, and its price.
Numbered = Iterator[tuple[int, UnifiedResult, Price | None]]


def join(context: Context, batch: Batch, results: Numbered, table: TableLike | None) -> Iterator[dict[str, object]]:
    """The results of a batch as columns.

    Args:
        context: the caller's.
        batch: whose results they are.
        results: of the batch.
        table: the rows that it was made of; None: each row begins with its `custom_id`.

    Raises:
        ValidationError: it is another table; also while the rows are read.
    """
    columns = _columns_of(context, batch)
    if table is None:
        return (columns.beside({"custom_id": result.custom_id}, result, price) for _, result, price in results)
    return _beside(results, columns, table_from(table, context.settings), batch.rows)


def _columns_of(context: Context, batch: Batch) -> AnswerColumns:
    """The columns of a batch's results: those of the schema that holds for all its rows, and the common ones."""
    config = read_record(context.storage, batch.id, batch.submission, Submission).options.generation_config
    return AnswerColumns(config.output_schema.schema if config and config.output_schema else None)


def _beside(results: Numbered, columns: AnswerColumns, table: Table, rows: int | None) -> Iterator[dict[str, object]]:
    """The rows of a table, each with the columns of its result; they are empty where there is none.

    Args:
        results: of the batch.
        columns: that are added.
        table: that was submitted, with the same rows in the same order.
        rows: of the batch; None: they are not counted yet.

    Raises:
        ValidationError: it is another table: the row with a result's number does not have its id, or there are more
            rows or less.
    """
    found = next(results, None)
    number = -1
    for number, cells in enumerate(table.read()):
        if rows is not None and number >= rows:
            raise _another(table, f"it has more than {rows:,} rows")
        result = price = None
        if found is not None and found[0] == number:
            _, result, price = found
            _check(table, number + 1, cells, result.custom_id)
            found = next(results, None)
        yield columns.beside(cells, result, price)
    if rows is not None and number + 1 < rows:
        raise _another(table, f"it has {number + 1:,} rows, and the batch has {rows:,}")


def _check(table: Table, number: int, cells: TableRow, custom_id: str) -> None:
    """Make sure that a row has the id of its result: its number, or a cell."""
    if custom_id != str(number) and custom_id not in map(text_of, cells.values()):
        shown = printable(custom_id, _SHOWN)
        raise _another(table, f"the result of row {number} is that of {shown!r}, and no cell of the row says so")


def _another(table: Table, why: str) -> ValidationError:
    return ValidationError(
        f"{printable(str(table.name), _SHOWN)} is not the table that was submitted: {why}; give it as it was then"
    )
