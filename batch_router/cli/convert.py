"""`batch-router convert`: the rows of a file as they would be sent."""

from pathlib import Path
from typing import Unpack

import click
import msgspec

from ..intake.check import RowCheck, check_file, input_file
from ..intake.options import read_options
from ..providers import find_provider
from ..settings import Settings
from .exit_codes import ExitCode
from .options import json_option
from .rows import RowOptions, options_of, row_options
from .standard_input import file_of
from .terminal import say, tell_lines


@click.command()
@row_options
@json_option
def convert(file: Path, provider: str, as_json: bool, **given: Unpack[RowOptions]) -> int:
    """Print the rows of a JSONL FILE (-: standard input) as the provider gets them. Needs no server."""
    del as_json  # it prints nothing but JSON lines
    settings = Settings.from_env()
    kind = find_provider(provider, settings)
    options = read_options(options_of(given))
    check = RowCheck(kind, options, settings, file)
    encode = msgspec.json.Encoder().encode
    with file_of(file, settings) as (path, source), input_file(path, settings) as stream:
        check_file(path, kind, options, settings, source)
        rows = enumerate(check.accept(row) for _, row in check.read(stream))
        tell_lines(encode(check.encode(row, str(number))) + b"\n" for number, row in rows)
    for what, count in check.dropped.items():
        say(f"dropped: {what} in {count} place{'s' if count != 1 else ''}, which {provider} does not take")
    for what, count in check.adjusted.items():
        say(f"adjusted: {what} in {count} rows, in another way that {provider} takes")
    return ExitCode.OK
