"""Requests out of a table, one per row."""

from collections.abc import Iterator
from functools import partial
from typing import cast

from ..core.record import JsonObject
from ..exceptions import ValidationError
from ..intake.given import NamedRows
from ..intake.options import MapOptions, SubmitOptions
from ..settings import Settings
from .opening import refuse_row
from .reading import Table, TableLike, table_from
from .template import Template, check_column, text_of


def render_table(
    table: TableLike | Table, prompt: str, *, id_column: str | None = None, system_prompt: str | None = None
) -> NamedRows:
    """The rows of a table as requests: for `requests=` of a submission. They are rendered while they are read.

    Args:
        table: mappings of column names to values, or the path of a CSV, TSV or JSONL file (also gzip of them).
        prompt: of each row, with names of columns in braces: `"Classify: {text}"`; `{{` and `}}` are braces.
        id_column: the column with the rows' `custom_id`s; by default they are numbered from 1.
        system_prompt: in the same way; the option of a submission has the same one for all rows.

    Raises:
        ValidationError: the prompt cannot be read, or names no column. Of what is wrong with the table, iterating
            raises one.
    """
    asks = Template(prompt, "prompt")
    if not asks.columns:
        raise ValidationError("prompt: it names no column, so all rows would ask the same; write one in braces: {text}")
    tells = None if system_prompt is None else Template(system_prompt, "system_prompt")
    rows = table if isinstance(table, Table) else table_from(table, Settings.from_env())
    return NamedRows(partial(_requests, rows, asks, tells, id_column), rows.name)


def submission_of(
    table: Table, prompt: str, id_column: str | None, options: MapOptions | SubmitOptions
) -> SubmitOptions:
    """The options of a submission with the rows of a table, as `render_table` makes them.

    Args:
        table: with the rows.
        prompt: of each row.
        id_column: the column with the rows' `custom_id`s.
        options: of the batch; a `system_prompt` may name columns, too.
    """
    system = options.get("system_prompt")
    tells = Template(system, "system_prompt") if isinstance(system, str) else None
    if tells is not None and not tells.columns:
        system, tells = tells.render({}), None
    per_row = None if tells is None else str(system)
    rows = render_table(table, prompt, id_column=id_column, system_prompt=per_row)
    return cast(SubmitOptions, {**options, "system_prompt": None if tells else system, "requests": rows})


def _requests(table: Table, asks: Template, tells: Template | None, id_column: str | None) -> Iterator[JsonObject]:
    for number, cells in enumerate(table.read(), 1):
        try:
            if id_column is not None:
                check_column("id_column", id_column, cells)
            asks.check(cells)
            if tells is not None:
                tells.check(cells)
        except ValidationError as error:
            raise refuse_row(table.name, number, str(error)) from None
        request = {
            "custom_id": str(number) if id_column is None else text_of(cells[id_column]),
            "prompt": asks.render(cells),
        }
        yield request if tells is None else request | {"system_prompt": tells.render(cells)}
