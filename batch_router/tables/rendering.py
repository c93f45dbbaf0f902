"""Requests out of a table, one per row."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, cast

from ..core.record import JsonObject
from ..exceptions import ValidationError
from ..intake.given import NamedRows
from ..intake.options import MapOptions, SubmitOptions, with_schema
from ..security.printable import printable
from ..settings import Settings
from .media import Kind, part_of
from .opening import refuse_row
from .reading import Table, TableLike, TableRow, table_from
from .template import Template, check_column, text_of

_SHOWN = 200


class Columns(NamedTuple):
    """The columns of a table that are more than text of a prompt, by their names.

    Attributes:
        id: with the rows' `custom_id`s; None: they are numbered from 1.
        image: with an image of each row, by its URL or path; None: there is none.
        document: the same of a PDF.
    """

    id: str | None = None
    image: str | None = None
    document: str | None = None

    @property
    def media(self) -> tuple[tuple[Kind, str | None], ...]:
        """The kinds of parts, each with its column."""
        return ("image", self.image), ("document", self.document)


class _Asking(NamedTuple):
    """What is asked about each row."""

    prompt: Template
    system: Template | None
    columns: Columns


def render_table(
    table: TableLike,
    prompt: str,
    *,
    id_column: str | None = None,
    image_column: str | None = None,
    document_column: str | None = None,
    system_prompt: str | None = None,
) -> NamedRows:
    """The rows of a table as requests: for `requests=` of a submission. They are rendered while they are read.

    Args:
        table: mappings of column names to values, or the path of a CSV, TSV or JSONL file (also gzip of them).
        prompt: of each row, with names of columns in braces: `"Classify: {text}"`; `{{` and `}}` are braces.
        id_column: the column with the rows' `custom_id`s; by default they are numbered from 1.
        image_column: the column with an image of each row: its URL, or the path of a file; an empty cell has none.
        document_column: the same of a PDF.
        system_prompt: in the same way as `prompt`; the option of a submission has the same one for all rows.

    Raises:
        ValidationError: the prompt cannot be read, or names no column. Of what is wrong with the table, iterating
            raises one.
    """
    tells = None if system_prompt is None else Template(system_prompt, "system_prompt")
    columns = Columns(id_column, image_column, document_column)
    return _render(table_from(table, Settings.from_env()), prompt, tells, columns)


def ask_about(table: TableLike, prompt: str, options: MapOptions, settings: Settings) -> SubmitOptions:
    """The options of a submission that asks about each row of a table.

    Args:
        table: as callers give it.
        prompt: of each row.
        options: of `map`.
        settings: with the bounds of its rows.

    Raises:
        ValidationError: says what is wrong and what to do.
    """
    columns = Columns(options.get("id_column"), options.get("image_column"), options.get("document_column"))
    named = {"schema", "id_column", "image_column", "document_column"}
    rest = cast(SubmitOptions, {name: value for name, value in options.items() if name not in named})
    return submission_of(table_from(table, settings), prompt, columns, with_schema(rest, options.get("schema")))


def submission_of(table: Table, prompt: str, columns: Columns, options: SubmitOptions) -> SubmitOptions:
    """The options of a submission with the rows of a table, as `render_table` makes them.

    Args:
        table: with the rows.
        prompt: of each row.
        columns: that are more than text.
        options: of the batch; a `system_prompt` may name columns, too.
    """
    system = options.get("system_prompt")
    tells = Template(system, "system_prompt") if isinstance(system, str) else None
    if tells is not None:
        system, tells = (None, tells) if tells.columns else (tells.render({}), None)
    rows = _render(table, prompt, tells, columns)
    return cast(SubmitOptions, {**options, "system_prompt": system, "requests": rows})


def _render(table: Table, prompt: str, system: Template | None, columns: Columns) -> NamedRows:
    asks = Template(prompt, "prompt")
    if not asks.columns and not (columns.image or columns.document):
        raise ValidationError("prompt: it names no column, so all rows would ask the same; write one in braces: {text}")
    return NamedRows(partial(_requests, table, _Asking(asks, system, columns)), table.name)


def _requests(table: Table, asking: _Asking) -> Iterator[JsonObject]:
    for number, cells in enumerate(table.read(), 1):
        try:
            yield _request(asking, table.settings, number, cells)
        except ValidationError as error:
            raise refuse_row(table.name, number, str(error)) from None


def _request(asking: _Asking, settings: Settings, number: int, cells: TableRow) -> JsonObject:
    asks, system, columns = asking
    asks.check(cells)
    custom_id = str(number)
    if columns.id is not None:
        check_column("id_column", columns.id, cells)
        custom_id = text_of(cells[columns.id])
    request: JsonObject = {"custom_id": custom_id, "prompt": asks.render(cells)}
    if media := [part for kind, column in columns.media if column for part in _media(kind, column, cells, settings)]:
        request["prompt"] = [*media, {"type": "text", "text": request["prompt"]}]
    if system is not None:
        system.check(cells)
        request["system_prompt"] = system.render(cells)
    return request


def _media(kind: Kind, column: str, cells: TableRow, settings: Settings) -> Iterator[JsonObject]:
    """The part that a row's cell names, if it names one."""
    check_column(f"{kind}_column", column, cells)
    if cell := text_of(cells[column]).strip():
        try:
            yield part_of(kind, cell, settings)
        except ValidationError as error:
            shown = printable(cell, _SHOWN)
            raise ValidationError(f"{kind}_column: {shown!r}: {str(error).removeprefix('input: ')}") from None
