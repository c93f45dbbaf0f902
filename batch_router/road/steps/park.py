"""A shard that waits for the operator, until its batch is cancelled, is over its time, or the operator gives it up."""

from ...core import ErrorType
from ...core.jobs import Failure
from ...exceptions import ProviderAPIError
from ...security.logs import get_logger
from ...state.items import Shard
from ...state.table import State
from ..context import Context
from ..outcome import ShardOutcome, shard_to
from ..step import Step

log = get_logger(__name__)

# Seconds between two looks. A cancel and a decision make the shard due at once.
_LOOK_EVERY = 86_400.0
# Failed tries to cancel a job that is given up.
_TRIES = 5


def park(context: Context, shard: Shard) -> ShardOutcome:
    """Wait on; or end the waiting, and keep what the job has answered where it is known which one it is."""
    if not (shard.cancel or shard.given_up):
        return shard_to(State.PARKED, _LOOK_EVERY, error=shard.error, held_since=shard.held_since, retry_at=None)
    if shard.job is not None and not shard.given_up:  # the poll sends the cancel, and looks once more
        return shard_to(State.POLLING, given_up=True)
    _cancel(context, shard)
    if shard.failure is not None and shard.failure.type == ErrorType.UNDECIDED:  # not even that could be written down
        return shard_to(State.FAILED)
    return _end(shard)


def _end(shard: Shard) -> ShardOutcome:
    return shard_to(State.NORMALIZING, failure=_undecided(shard), given_up=True)


def _cancel(context: Context, shard: Shard) -> None:
    """Ask the provider to cancel the job that is given up. It may be long over, and its service away."""
    if shard.job is None or shard.cancel_sent:
        return
    try:
        context.client_of(shard).cancel(shard.job.id)
    except ProviderAPIError as error:
        if error.retryable and shard.attempts + 1 < _TRIES:
            raise
        log.warning("action=cancel_failed item=%s error=%s", shard.id, error)


def _undecided(shard: Shard) -> Failure:
    job = f"the job {shard.job.id}" if shard.job else f"a job with the label {shard.label}, if there is one"
    why = f": {shard.error.message}" if shard.error else ""
    return Failure(
        type=ErrorType.UNDECIDED,
        message=f"given up while it was parked{why}. `batch-router doctor --orphans` shows {job}",
    )


STEP = Step(park, give_up=lambda _, shard, __: _end(shard))
