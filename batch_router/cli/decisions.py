"""What only the operator decides: `resolve`, `retry` and `resume`."""

import click

from .confirm import needs_yes, yes
from .exit_codes import ExitCode
from .options import batch_argument, item_argument, json_option, open_client, whole_id
from .terminal import tell_fact


@click.command()
@item_argument
@click.option("--attach", metavar="JOB", help="The shard owns this job; JOB is the provider's id.")
@click.option("--recreate", is_flag=True, help="The provider has no job of this shard: create it.")
@click.option("--give-up", is_flag=True, help="End the rows that have no answer as undecided.")
@yes
@json_option
def resolve(item_id: str, attach: str | None, recreate: bool, give_up: bool, yes: bool, as_json: bool) -> int:
    """Decide about a parked shard. ID is the shard's, or the batch's if only one of its shards is parked."""
    client = open_client()
    item_id = whole_id(client, item_id)
    if recreate:
        needs_yes(yes, f"if the provider has a job of {item_id} after all, its rows are paid for twice")
    if give_up:
        needs_yes(yes, f"if the provider has a job of {item_id}, it may be paid for, and its answers are not fetched")
    resolved = client.resolve(item_id, attach=attach, recreate=recreate, give_up=give_up)
    tell_fact(as_json, item_id=resolved)
    return ExitCode.OK


@click.command()
@batch_argument
@yes
@json_option
def retry(batch_id: str, yes: bool, as_json: bool) -> int:
    """Send the failed rows of a finished batch again, as a new batch; prints the new id."""
    client = open_client()
    tell_fact(as_json, batch_id=client.retry(whole_id(client, batch_id), undecided=yes))
    return ExitCode.OK


@click.command()
@batch_argument
@json_option
def resume(batch_id: str, as_json: bool) -> int:
    """Have a batch go on that ended with a loss, once the cause is gone; prints the items that go on."""
    client = open_client()
    for item_id in client.resume(whole_id(client, batch_id)):
        tell_fact(as_json, item_id=item_id)
    return ExitCode.OK
