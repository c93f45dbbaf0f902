"""What a shard leaves at the provider is deleted, once its results are safe here."""

from ...core import BatchStatus
from ...exceptions import ProviderAPIError
from ...state.items import Shard
from ...state.table import State
from ..context import Context, Outcome
from ..jobs import job_spec
from ..policy import describe

# The results are there; they do not wait longer than about half a minute for a service that will not delete.
_TRIES = 5


def clean(context: Context, shard: Shard) -> Outcome:
    """Delete the uploaded rows, and the answers if they were fetched. A shard does not fail by what is left behind."""
    end = ended_as(shard)
    if shard.keep_remote:
        return Outcome(end)
    try:
        _delete(context, shard)
    except ProviderAPIError as error:
        if error.retryable and shard.attempts + 1 < _TRIES:
            raise
        return Outcome(end, patch={"left_behind": describe(error, retryable=False)})
    return Outcome(end)


def _delete(context: Context, shard: Shard) -> None:
    if shard.uploads == 0 and shard.job is None:
        return  # nothing was ever sent
    client = context.client_of(shard)
    uploads = {shard.upload} if shard.upload else set()
    if shard.uploads > 1:  # whoever fell silent in the middle of one may have left a file
        uploads |= set(client.find_uploads(job_spec(shard)))
    for name in sorted(uploads):
        client.delete_upload(name)
    if shard.job is not None and shard.answers is not None:
        client.delete(shard.job)


def ended_as(shard: Shard) -> State:
    """How a shard ended whose results are written."""
    if shard.retried:
        return State.COMPLETED  # how it ended is for the follow-up shard to say
    if shard.cancel and shard.part is not None and shard.part.cancelled:
        return State.CANCELLED  # some providers call a job that was cancelled half-way a success
    if shard.job is not None and shard.job.status is BatchStatus.EXPIRED:
        return State.EXPIRED
    if shard.was_cancelled:
        return State.CANCELLED
    return State.FAILED if shard.failure is not None else State.COMPLETED
