"""`batch-router cancel`: the end of a batch before its time."""

import click

from ..core import BatchStatusResponse
from ..providers import find_provider
from ..settings import Settings
from ..state.table import State
from .confirm import needs_yes, yes
from .exit_codes import ExitCode
from .options import batch_argument, json_option, open_client, whole_id
from .terminal import say, tell_json


@click.command()
@batch_argument
@yes
@json_option
def cancel(batch_id: str, yes: bool, as_json: bool) -> int:
    """End a batch early; finished answers are kept, where the provider keeps them."""
    client = open_client()
    batch_id = whole_id(client, batch_id)
    found = client.status(batch_id)
    if (loss := _loss(found)) is not None:
        needs_yes(yes, loss)
    is_cancelled = client.cancel(batch_id)
    if as_json:
        tell_json({"version": 1, "batch_id": batch_id, "cancelling": is_cancelled})
    elif is_cancelled:
        say(f"{batch_id} is being cancelled")
    else:
        say(f"{batch_id} has ended already: {client.status(batch_id).status}")
    return ExitCode.OK


def _loss(found: BatchStatusResponse) -> str | None:
    """What a cancel may lose that is paid for; None: nothing."""
    parked = [shard.id for shard in found.shards if shard.state == State.PARKED]
    if parked:
        return f"{', '.join(parked)} would end undecided: a job may be paid for, and its answers not be fetched"
    answered = sum(shard.completed for shard in found.shards if shard.state == State.POLLING)
    if answered and not find_provider(found.provider, Settings.from_env()).keeps_cancelled:
        promise = f"{found.provider} does not promise the answers of a job that is cancelled"
        return f"{promise}; {answered} rows have one, paid for"
    return None
