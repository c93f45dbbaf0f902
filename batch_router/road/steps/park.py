"""A shard that waits for the operator, until its batch is cancelled, is over its time, or the operator gives it up."""

import msgspec

from ...core import ErrorType
from ...core.jobs import Failure, Job
from ...exceptions import ProviderAPIError, UndecidedError
from ...security.logs import get_logger
from ...state.items import Shard
from ...state.table import State
from ..context import Running
from ..lookup import look
from ..outcome import ShardOutcome, shard_to
from ..step import Step

log = get_logger(__name__)

# Seconds between two looks. A cancel and a decision make the shard due at once.
_LOOK_EVERY = 86_400.0
# Failed tries to find, or to cancel, a job that is given up.
_TRIES = 5


def park(running: Running, shard: Shard) -> ShardOutcome:
    """Wait on; or end the waiting, and keep what the job has answered where it is known, or found now."""
    if not (shard.cancel or shard.given_up):
        return shard_to(State.PARKED, _LOOK_EVERY, error=shard.error, held_since=shard.held_since, retry_at=None)
    if shard.job is not None and not shard.given_up:  # the poll sends the cancel, and looks once more
        return shard_to(State.POLLING, given_up=True)
    if shard.job is None and (job := _find(running, shard)) is not None:
        owned = msgspec.structs.replace(job, refused=())
        return shard_to(State.POLLING, job=owned, intent=None, doubt_since=None, given_up=True)
    _cancel(running, shard)
    if shard.failure is not None and shard.failure.type == ErrorType.UNDECIDED:  # not even that could be written down
        return shard_to(State.FAILED)
    return _end(shard)


def _find(running: Running, shard: Shard) -> Job | None:
    """The job of an earlier attempt to create it, looked for once more."""
    if shard.intent is None and shard.doubt_since is None:
        return None
    try:
        found = look(running, shard, shard.updated_at)
        if found is None:
            raise UndecidedError(shard.provider, 0, "another worker looks through the account's jobs")
    except ProviderAPIError as error:
        _try_again(shard, error, "look")
        return None
    return found.job


def _end(shard: Shard) -> ShardOutcome:
    return shard_to(State.NORMALIZING, failure=_undecided(shard), given_up=True)


def _cancel(running: Running, shard: Shard) -> None:
    """Ask the provider to cancel the job that is given up. It may be long over, and its service away."""
    if shard.job is None or shard.cancel_sent:
        return
    try:
        running.client_of(shard).cancel(shard.job.id)
    except ProviderAPIError as error:
        _try_again(shard, error, "cancel")


def _try_again(shard: Shard, error: ProviderAPIError, what: str) -> None:
    """Raise an error that may pass, a few times."""
    if error.retryable and shard.attempts + 1 < _TRIES:
        raise error
    log.warning("action=%s_failed item=%s error=%s", what, shard.id, error)


def _undecided(shard: Shard) -> Failure:
    job = f"the job {shard.job.id}" if shard.job else f"a job with the label {shard.label}, if there is one"
    why = f": {shard.error.message}" if shard.error else ""
    return Failure(
        type=ErrorType.UNDECIDED,
        message=f"given up while it was parked{why}. `batch-router doctor --orphans` shows {job}; "
        f"`batch-router resume {shard.batch}` looks for it again",
    )


STEP = Step(park, give_up=lambda _, shard, __: _end(shard))
