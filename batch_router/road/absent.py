"""The provider answers that it has no such job.

It may be wrong for a while (a read that is behind, a gateway in front of it), or be asked with the key of another
account. So the job counts as gone only after hours, and only if no walk through the account's jobs shows it either.
Where the store forgot that the answers were fetched and the job was deleted, they lie in storage.
"""

from contextlib import suppress

from ..core.jobs import Failure, Job
from ..exceptions import NotFoundError, ProviderAPIError
from ..state.items import Shard
from ..state.table import State
from .context import Context
from .earlier import earlier_answers
from .keys import is_replaced, why_replaced
from .listed import is_listed
from .lookup import visibility
from .outcome import ShardOutcome, shard_to
from .policy import DAY, overdue_at

# Seconds for which a provider must say so, beyond the time after which it shows a job that was made: it may be paid
# for. A batch that is cancelled does not wait that long.
_BELIEVED_AFTER, _BELIEVED_AFTER_CANCEL = 6 * 3600.0, 1200.0

# Seconds between two looks: soon at first, then half of the time that it has been absent; and until a look at the
# answer to another worker's walk.
_SHORTEST, _LONGEST, _TURN = 1.0, 600.0, 5.0


def after_not_found(context: Context, shard: Shard, job: Job, error: NotFoundError) -> ShardOutcome:
    """Where a shard goes whose job is not there: it looks again, gives the job up, or waits for the operator."""
    if is_replaced(context, shard):
        return shard_to(State.PARKED, error=_of_another_account(shard, job))
    earlier = earlier_answers(context, shard)
    if earlier.are_all:
        return shard_to(State.NORMALIZING, answers=earlier.answers)
    now = context.store.now()
    since = now if shard.absent_since is None else shard.absent_since
    beyond = _BELIEVED_AFTER_CANCEL if shard.cancel else _BELIEVED_AFTER
    must_show_at = since + visibility(context, shard)
    delay = min(_LONGEST, max(_SHORTEST, (now - since) / 2))
    if now - must_show_at >= beyond:
        listed = is_listed(context, shard, job, must_show_at)
        if listed is False:
            with suppress(ProviderAPIError):  # most probably it is not there for that either
                context.client_of(shard).cancel(job.id)
            failure = _gone(job, error, now - since)
            return shard_to(State.NORMALIZING, failure=failure, given_up=True, answers=earlier.answers or shard.answers)
        if listed and now >= max(since + DAY, overdue_at(job, shard.created_at)):
            return shard_to(State.PARKED, error=_listed_only(shard, job, error))
        delay = delay if listed else _TURN
    waiting = Failure(type=error.type, message=f"{error} ({job.id}); looking again", retryable=True)
    return shard_to(State.POLLING, delay, absent_since=since, error=waiting)


def _gone(job: Job, error: NotFoundError, seconds: float) -> Failure:
    message = f"{error} ({job.id}): for {seconds / 3600:.1f} h, and it is not among the jobs of the account"
    return Failure(type=error.type, message=message, status_code=error.status_code)


def _of_another_account(shard: Shard, job: Job) -> Failure:
    remedy = f"`batch-router resolve {shard.id} --attach {job.id}` goes on"
    message = f"{shard.provider} does not know {job.id}, and {why_replaced(shard)} {remedy}"
    return Failure(type=NotFoundError.type, message=message, status_code=404)


def _listed_only(shard: Shard, job: Job, error: NotFoundError) -> Failure:
    message = (
        f"{error} ({job.id}), though it is among the jobs of the account; look at the provider, then `batch-router "
        f"resolve {shard.id} --attach {job.id}` asks again"
    )
    return Failure(type=error.type, message=message, status_code=error.status_code)
