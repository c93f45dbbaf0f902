"""A job that the provider refused as a whole bought nothing: what becomes of its rows."""

import re

from ..core.jobs import Failure, Job, RefusedRow
from ..exceptions import QueueFullError
from ..state.items import Shard
from ..state.table import State
from .context import Context
from .ledger import learn_limit
from .outcome import ShardOutcome, shard_to

#: How often the other rows of a job go again without those that it was refused for.
MOST_REFUSALS = 10

# Seconds: a queue at the provider that is full of our tokens drains in minutes to hours.
_QUEUE_WAIT, _LONGEST_WAIT = 60.0, 600.0
# A shard that finds no room this often in a row, while no other job of ours takes any, does not fit. Other programs may
# use the account, too; so a single row is given more time.
_MOST_ALONE, _MOST_ALONE_OF_ONE = 3, 12


def after_refusal(context: Context, shard: Shard, job: Job) -> ShardOutcome:
    """Where a shard goes whose job was refused: it waits for room in the provider's queue, or there is no such job."""
    failure = job.error or Failure(type="job_failed", message="the provider refused the job and did not say why")
    if failure.retryable and not shard.cancel:
        return queue_is_full(context, shard, failure)
    return rows_refused(shard, failure, job.refused)


def rows_refused(shard: Shard, failure: Failure, rows: tuple[RefusedRow, ...]) -> ShardOutcome:
    """The rows that the job was refused for end as errored; the others go again without them, up to a limit.

    Where there are no such rows, all of them end with the failure.
    """
    refused = tuple(_in_words(shard, each) for each in rows if each.row < shard.rows)
    shown = Failure(type=failure.type, message=in_words(shard, failure.message), status_code=failure.status_code)
    if not refused or shard.cancel:
        return shard_to(State.NORMALIZING, failure=shown)
    refusals = shard.refusals + 1
    again = int(refusals <= MOST_REFUSALS)
    return shard_to(State.NORMALIZING, failure=shown, refused=refused, refusals=refusals, resend=again)


def queue_is_full(context: Context, shard: Shard, failure: Failure) -> ShardOutcome:
    """Create the job later; a shard that never fits is split, and a row that never fits fails."""
    is_alone = not context.store.has_company(shard.id, context.account_of(shard), shard.model)
    alone = shard.alone + 1 if is_alone else 0
    if alone >= (_MOST_ALONE if shard.rows > 1 else _MOST_ALONE_OF_ONE):
        parts = 2 if shard.rows > 1 else 0
        return shard_to(State.NORMALIZING, failure=_never_fits(shard, failure), resend=parts)
    delay = min(_LONGEST_WAIT, _QUEUE_WAIT * 2.0 ** min(shard.queue_waits, 20))
    if learn_limit(context, shard, failure.message) and not shard.queue_waits:
        delay = 0  # from here on it waits until jobs of ours have made room
    waits = shard.queue_waits + 1
    return shard_to(State.CREATING, delay, job=None, booked={}, queue_waits=waits, alone=alone, error=failure)


def in_words(shard: Shard, text: str) -> str:
    """A provider's words without our row ids, which mean nothing to a user."""
    return re.sub(rf"\b{re.escape(shard.label)}-(\d{{1,9}})\b", lambda found: f"row {int(found[1]) + 1}", text)


def _in_words(shard: Shard, refused: RefusedRow) -> RefusedRow:
    return RefusedRow(row=refused.row, message=in_words(shard, refused.message), code=refused.code)


def _never_fits(shard: Shard, failure: Failure) -> Failure:
    if shard.rows > 1:
        remedy = f"it was split in two; BATCH_ROUTER_MAX_SHARD_ROWS={shard.rows // 2} makes shards that small at once"
        message = f"{shard.rows} rows at once never fit the tokens that may wait at {shard.provider}: {remedy}"
    else:
        remedy = "a higher usage tier of the account lets more wait, or the row must be shorter"
        message = f"this row alone never fits the tokens that may wait at {shard.provider}: {remedy}"
    return Failure(type=QueueFullError.type, message=f"{message} ({failure.message})")
