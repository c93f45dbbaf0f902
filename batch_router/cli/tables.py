"""Tables on the command line: `submit FILE --prompt ...`, and `results ID --join FILE --format csv`."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from ..client import BatchClient
from ..exceptions import ValidationError
from ..intake.options import SubmitOptions
from ..security.printable import printable
from ..settings import Settings
from ..tables.reading import table_at
from ..tables.rendering import Columns, submission_of
from ..tables.writing import FORMATS
from .standard_input import STREAM, file_of

_Command = TypeVar("_Command", bound=Callable[..., int])
_SHOWN = 500


def table_options(command: _Command) -> _Command:
    """The options of a command that reads rows, or a table."""
    for option in (
        click.option(
            "--schema", metavar="MODULE:CLASS|FILE", help="The form of the answers: a class, or a JSON schema's file."
        ),
        click.option(
            "--document-column", metavar="COLUMN", help="The column with a PDF of each row, as a URL or a path."
        ),
        click.option(
            "--image-column", metavar="COLUMN", help="The column with an image of each row, as a URL or a path."
        ),
        click.option("--id-column", metavar="COLUMN", help="The column with a table's custom_ids; else 1, 2, 3..."),
        click.option("--prompt", help="FILE is a table: ask this about each row, with columns in braces: {text}."),
    ):
        command = option(command)
    return command


def result_options(command: _Command) -> _Command:
    """The options of a command that prints results."""
    for option in (
        click.option(
            "--format",
            "form",
            type=click.Choice(list(FORMATS)),
            help="Print columns: text, status, error, tokens, and those of the schema.",
        ),
        click.option("--join", type=click.Path(path_type=Path), metavar="FILE", help="Put them beside this table."),
    ):
        command = option(command)
    return command


def lines_of(
    client: BatchClient, batch_id: str, join: Path | None, form: str | None, *, partial: bool
) -> Iterator[bytes]:
    """The results of a batch as lines: whole, or as columns where a format or a table is given."""
    if form is None and join is None:
        return client.result_lines(batch_id, partial=partial)
    return FORMATS[form or "jsonl"](_rows(client, batch_id, join, partial=partial))


def _rows(client: BatchClient, batch_id: str, join: Path | None, *, partial: bool) -> Iterator[dict[str, object]]:
    if join is None:
        yield from client.join(batch_id, partial=partial)
        return
    settings = Settings.from_env()
    with file_of(join, settings) as (path, _):
        yield from client.join(batch_id, path, partial=partial)


@contextmanager
def rows_of(
    file: Path, prompt: str | None, columns: Columns, options: SubmitOptions, settings: Settings
) -> Iterator[SubmitOptions]:
    """The options of a submission with the rows of a file, while the block runs: as they stand, or a table's.

    Raises:
        ValidationError: the file is no table, or lacks a column.
    """
    if prompt is not None:
        with file_of(file, settings) as (path, source):
            asked = submission_of(table_at(path, source, settings), prompt, columns, options)
            next(iter(asked.get("requests") or ()), None)  # what is wrong with all rows is told before all else
            yield asked
        return
    if any(columns):
        raise click.UsageError("columns are those of a table; say with --prompt what to ask about each row")
    # A file was checked before; a stream is read once, into the storage, and checked there before anything is sent.
    if file == STREAM:
        yield {**options, "input": sys.stdin.buffer, "check_rows": None}
    else:
        yield {**options, "input": file, "check_rows": 0}


def read_schema(named: str | None) -> object:
    """The class or the JSON schema that `--schema` names.

    A module is imported from the current folder, too: its name was typed here.

    Raises:
        ValidationError: there is none; says what is wrong.
    """
    if named is None:
        return None
    module, colon, name = named.partition(":")
    if colon and not Path(named).exists():
        return _imported(module, name)
    try:
        schema = json.loads(Path(named).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _refused(f"{named} is no file with a JSON schema: {why}; or name a class, such as labels:Label") from None
    if not isinstance(schema, dict):
        raise _refused(f"{named}: a JSON schema is an object, not {type(schema).__name__}")
    return schema


def _imported(module: str, name: str) -> object:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        raise _refused(f"{module} has no {name!r}") from None
    except Exception as error:  # of the user's own module
        raise _refused(f"{module} cannot be imported: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(here)


def _refused(why: str) -> ValidationError:
    return ValidationError(f"--schema: {printable(why, _SHOWN)}")
