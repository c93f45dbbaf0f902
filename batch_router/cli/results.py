"""`batch-router results`: the results of a batch as JSON lines."""

from pathlib import Path

import click

from ..client import BatchClient
from .exit_codes import ExitCode
from .options import batch_argument, json_option, open_client, whole_id
from .tables import lines_of, result_options
from .terminal import say, tell_lines
from .watch import exit_code_of, say_how_to_come_back


@click.command()
@batch_argument
@click.option("--partial", is_flag=True, help="Print the results so far, even if the batch has not ended.")
@click.option("--follow", is_flag=True, help="Print the results of each shard as it ends, until the batch has ended.")
@click.option("--verify", is_flag=True, help="First read them all and compare them with the manifest.")
@result_options
@json_option
def results(
    batch_id: str, partial: bool, follow: bool, verify: bool, join: Path | None, form: str | None, as_json: bool
) -> int:
    """Print the results of a finished batch: JSON lines in input order, one per request; or as columns."""
    if verify and (partial or follow):
        raise click.UsageError("--verify excludes --partial and --follow: the manifest is written at the end")
    if partial and follow:
        raise click.UsageError("--partial and --follow exclude each other: --follow goes on to the end")
    if follow and (join or form):
        raise click.UsageError("--follow prints JSON lines as shards end; --join and --format are without it")
    if as_json and form not in (None, "jsonl"):
        raise click.UsageError(f"--json and --format {form} exclude each other")
    client = open_client()
    batch_id = whole_id(client, batch_id)
    if follow:
        return _follow(client, batch_id)
    found = client.status(batch_id)
    if verify:
        books = client.verify(batch_id)
        say(f"{books.request_counts.total} results in {len(books.parts)} parts are as the manifest lists them")
    if not tell_lines(lines_of(client, batch_id, join, form, partial=partial)):
        return ExitCode.OK
    return exit_code_of(found)


def _follow(client: BatchClient, batch_id: str) -> ExitCode:
    try:
        is_read = tell_lines(client.result_lines(batch_id, follow=True), at_once=True)
    except KeyboardInterrupt:
        say_how_to_come_back([batch_id], f"results {batch_id} --follow")
        raise
    return exit_code_of(client.status(batch_id)) if is_read else ExitCode.OK
