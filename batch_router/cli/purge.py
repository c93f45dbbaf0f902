"""`batch-router purge`: what is stored here of ended batches is deleted, after it was shown."""

from collections.abc import Sequence

import click

from ..client import BatchClient
from ..exceptions import BatchNotFoundError, ValidationError
from .confirm import needs_yes, yes
from .exit_codes import ExitCode
from .listing import print_batches
from .options import json_option, open_client, optional_batch_argument, whole_id
from .terminal import say, stderr, stdout, tell_fact

_PREVIEWED = 20


@click.command()
@optional_batch_argument
@click.option("--older-than", type=float, metavar="DAYS", help="Purge all batches that ended longer ago than this.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@yes
@json_option
def purge(batch_id: str | None, older_than: float | None, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Delete all files and the state of ended batches here; shows them first, and prints their ids."""
    client = open_client()
    if batch_id is not None and older_than is None:
        ids: Sequence[str] = [whole_id(client, batch_id)]
        client.purge(ids[0], dry_run=True)
    elif older_than is not None and batch_id is None:
        ids = client.purge_older(older_than, dry_run=True)
    else:
        raise click.UsageError("give either the id of a batch or --older-than DAYS")
    if dry_run:
        _show(client, ids, as_json)
    elif ids:
        _preview(client, ids)
        which = ids[0] if len(ids) == 1 else f"these {len(ids)} batches"
        needs_yes(
            yes,
            f"the rows, the results and the state of {which} would be deleted, and the id and the idempotency key be "
            "free: the same submission again would be paid again",
        )
        _purge(client, ids, as_json)
    else:
        say(f"no batch ended more than {older_than:g} days ago")
    return ExitCode.OK


def _show(client: BatchClient, ids: Sequence[str], as_json: bool) -> None:
    if as_json:
        for each in ids:
            tell_fact(as_json, batch_id=each)
    else:
        print_batches(stdout(), [client.status(each) for each in ids])


def _preview(client: BatchClient, ids: Sequence[str]) -> None:
    print_batches(stderr(), [client.status(each) for each in ids[:_PREVIEWED]])
    if len(ids) > _PREVIEWED:
        say(f"... and {len(ids) - _PREVIEWED} more; --dry-run shows all")


def _purge(client: BatchClient, ids: Sequence[str], as_json: bool) -> None:
    for each in ids:
        try:
            client.purge(each)
        except (ValidationError, BatchNotFoundError) as error:  # another command has it, or was faster
            if len(ids) == 1:
                raise
            say(str(error))
        else:
            tell_fact(as_json, batch_id=each)
