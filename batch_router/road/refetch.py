"""Answers that are not there, or look cut short: the shard goes back to its job, which may name other files now."""

from ..core.jobs import Failure
from ..exceptions import ProtocolError
from ..state.items import Shard
from ..state.table import State
from .context import Context
from .outcome import ShardOutcome, shard_to

#: Seconds between the looks for answers that are not there: about six hours. Services name their files some seconds
#: after a job has ended; a file that is paid for is worth more than that.
LOOKS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, *(3600.0,) * 5)
#: Looks where the user does not wait for what is missing, and it may be paid for: 34 minutes. A service may take ten to
#: name the files of a job that has ended, and ten more until they are there.
LOOKS_AFTER_CANCEL = 10
#: Looks where nothing that is missing can be paid for.
FEW_LOOKS = 5
#: How often answers that look cut short are fetched again; after that they are accepted, for counts may be wrong.
MOST_REFETCHES = 4


def promised_answers(context: Context, shard: Shard) -> int:
    """How many of the shard's rows have an answer or a refusal, by what the provider says of the job.

    A job that runs in the worker promises nothing: its answers are the file beside the rows.
    """
    if shard.job is None or not context.clients.provider(shard.provider).remote:
        return 0
    return shard.job.promised(shard.rows)


def look_again(shard: Shard, why: str, *, is_paid: bool) -> ShardOutcome | None:
    """Look at the job again later, for answers that are not there; None: that was done often enough.

    Args:
        shard: whose answers they are.
        why: what is missing.
        is_paid: whether there may be answers among it.
    """
    most_paid = LOOKS_AFTER_CANCEL if shard.cancel else len(LOOKS)
    if shard.looks >= (most_paid if is_paid else FEW_LOOKS):
        return None
    return shard_to(State.POLLING, LOOKS[shard.looks], looks=shard.looks + 1, error=_waiting(why))


def fetch_again(shard: Shard, why: str) -> ShardOutcome | None:
    """Fetch answers again that look cut short; None: that was done often enough."""
    if shard.refetches >= MOST_REFETCHES:
        return None
    return shard_to(State.POLLING, 2.0**shard.refetches, refetches=shard.refetches + 1, error=_waiting(why))


def _waiting(why: str) -> Failure:
    return Failure(type=ProtocolError.type, message=f"{why}; looking again", retryable=True)
