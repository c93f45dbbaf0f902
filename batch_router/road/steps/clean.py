"""Deletes what a shard leaves at the provider, once its results are safe here."""

from ...core import BatchStatus, ErrorType
from ...core.jobs import Failure, Job
from ...exceptions import ProviderAPIError
from ...state.items import Shard
from ...state.table import State
from ..context import Context, Running
from ..jobs import may_have_forgotten_an_upload, uploads_of
from ..outcome import ShardOutcome, shard_to
from ..policy import describe
from ..step import Step

# The results are there; they wait about half a minute at most for a service that does not delete.
_TRIES = 5


def clean(context: Context, shard: Shard) -> ShardOutcome:
    """Delete the uploaded rows, and the answers if they were fetched. Leftovers do not fail a shard."""
    end = ended_as(shard)
    if shard.keep_remote:
        return shard_to(end)
    if shard.unfetched:  # they may turn up
        return shard_to(end, left_behind=_unfetched(shard))
    if shard.job is not None and shard.job.label not in (None, shard.label):
        return shard_to(end, left_behind=_foreign(shard.job, shard))
    try:
        _delete(context, shard)
    except ProviderAPIError as error:
        if error.retryable and shard.attempts + 1 < _TRIES:
            raise
        return shard_to(end, left_behind=describe(error, retryable=False))
    return shard_to(end)


def _delete(context: Context, shard: Shard) -> None:
    if shard.uploads == 0 and shard.job is None and not may_have_forgotten_an_upload(shard):
        return  # nothing was ever sent
    client = context.client_of(shard)
    for name in sorted(uploads_of(context, shard)):
        client.delete_upload(name)
    if shard.job is not None and shard.answers:
        client.delete(shard.job)


def _foreign(job: Job, shard: Shard) -> Failure:
    message = f"{job.id} has the label {job.label} instead of {shard.label}, so nothing of it was deleted"
    return Failure(type=ErrorType.OTHER, message=message)


def _unfetched(shard: Shard) -> Failure:
    name = shard.job.id if shard.job else shard.label
    what = f"{shard.lost} answers that {shard.provider} counts" if shard.lost else "answers that there may be"
    message = f"{what} could not be fetched, so nothing of {name} was deleted; `batch-router doctor --orphans` shows it"
    return Failure(type=ErrorType.MISSING, message=message)


def ended_as(shard: Shard) -> State:
    """How a shard ended whose results are written."""
    if shard.retried:
        return State.COMPLETED  # its follow-up shard says how the rest ended
    if shard.cancel and shard.part is not None and shard.part.cancelled:
        return State.CANCELLED  # some providers call a job that was cancelled half-way a success
    if shard.job is not None and shard.job.status is BatchStatus.EXPIRED:
        return State.EXPIRED
    if shard.was_cancelled:
        return State.CANCELLED
    return State.FAILED if shard.failure is not None else State.COMPLETED


def _give_up(_: Running, shard: Shard, failure: Failure) -> ShardOutcome:
    """Deleting failed for good: the shard ends as it would, and says what was left behind."""
    return shard_to(ended_as(shard), left_behind=failure)


STEP = Step(clean, calls_provider=True, give_up=_give_up)
