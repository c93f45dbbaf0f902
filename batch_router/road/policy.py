"""What to do when a step fails: a decision, which the kernel carries out.

What may pass is tried again, with waits that double up to ten minutes. How long depends on what giving up would lose:

* Storage that cannot be read or written is waited for without an end; by a batch that is cancelled before its rows were
  cut, for a day.
* A shard that has a job, or may have one, is paid for. It is tried for a day at least, and until its answers are a day
  overdue. Then it is parked: an operator decides, and nothing is thrown away.
* All else is tried for a day if it may pass, and a few times if it was not foreseen, which is more likely a bug.
"""

import math
import random
from typing import NamedTuple

from ..core.jobs import Failure, Job
from ..exceptions import (
    AnswersTooLargeError,
    BatchRouterError,
    CorruptItemError,
    DamagedObjectError,
    FileOperationError,
    InvalidInputError,
    ProviderAPIError,
    StepCrashesError,
)
from ..state.items import AnyItem, Shard
from ..state.table import State
from .webhook_errors import WebhookRefusedError, WebhookUnavailableError

#: Seconds for which a step that may succeed is tried again.
DAY = 86_400.0
# How long jobs take at most whose provider does not say when they expire.
_LIFETIME = 2 * DAY

# Seconds: 1, 2, 4 ... up to ten minutes.
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 600.0

#: How often an error that was not foreseen is met before a step is given up that has nothing to lose.
MAX_SURPRISES = 5

#: A step that takes down its worker this often in a row is not tried again.
MAX_CRASHES = 20

#: Upper bound on an honoured Retry-After.
LONGEST_RETRY_AFTER = 3600.0

# Another try changes nothing: a setting or a machine is too small.
_HOPELESS = (AnswersTooLargeError, StepCrashesError)


class Decision(NamedTuple):
    """Attributes: `state` to go to, after `delay` seconds, with the `failure` to show."""

    state: State
    delay: float
    failure: Failure


def decide(item: AnyItem, error: Exception, now: float) -> Decision:
    """Whether to try the step again, and when; or where to go instead.

    Args:
        item: as it was before this failure.
        error: what its step raised.
        now: seconds since 1970, by the store's clock.
    """
    if now < _tried_until(item, error, failing_since(item, now)):
        return Decision(item.state, _delay(item.attempts, error), describe(error, retryable=True))
    if isinstance(item, Shard) and may_be_paid(item) and State.PARKED in item.state.successors:
        return Decision(State.PARKED, 0, _with_remedy(item, error))
    state = item.state.given_up
    return Decision(state, _LONGEST_DELAY if state is item.state else 0, describe(error, retryable=False))


def failing_since(item: AnyItem, now: float) -> float:
    """When the first of the failures was that the item's step has had in a row, one at `now` included."""
    return item.held_since if item.attempts and item.held_since is not None else now


def may_be_paid(item: AnyItem) -> bool:
    """Whether giving up would abandon a job that costs money: it exists, or a request to create it was sent."""
    if not isinstance(item, Shard) or item.state is State.CLEANING:
        return False
    may_be_created = item.state is State.CREATING and (item.intent is not None or item.doubt_since is not None)
    return item.job is not None or may_be_created


def overdue_at(job: Job, created_at: float) -> float:
    """When the answers to a job are a day overdue, in seconds since 1970; until then it is taken to run.

    Args:
        job: as it was last seen.
        created_at: of its shard, by the store's clock, where the provider does not say when it made the job.
    """
    since = job.created_at or created_at
    expires_at = job.expires_at if job.expires_at and job.expires_at > since else since + _LIFETIME
    return expires_at + DAY


def _tried_until(item: AnyItem, error: Exception, since: float) -> float:
    """When trying ends, where the first of these failures was at `since`."""
    if _waits_without_end(item, error):
        is_unwanted = item.cancel and item.state is State.QUEUED
        return since + DAY if is_unwanted else math.inf
    if isinstance(error, _HOPELESS):
        return 0
    if isinstance(item, Shard) and may_be_paid(item):
        return max(since + DAY, overdue_at(item.job, item.created_at) if item.job else 0)
    if isinstance(error, BatchRouterError):
        return since + DAY if error.retryable else 0
    return math.inf if item.attempts + 1 < MAX_SURPRISES else 0


def _waits_without_end(item: AnyItem, error: Exception) -> bool:
    if isinstance(error, CorruptItemError):
        return error.item_id != item.id  # another one, which may be restored
    return isinstance(error, FileOperationError | OSError) and not isinstance(error, DamagedObjectError)


def _with_remedy(shard: Shard, error: Exception) -> Failure:
    if isinstance(error, AnswersTooLargeError):
        remedy = f"raise it where the workers run; then `batch-router resolve {shard.id} --attach JOB` fetches them"
    elif shard.job is not None:
        remedy = f"once the cause is gone, `batch-router resolve {shard.id} --attach {shard.job.id}` goes on"
    else:
        remedy = (
            f"a job may have been created: look at {shard.provider}, then `batch-router resolve {shard.id} "
            "--attach JOB`, or `--recreate` if there is none"
        )
    failure = describe(error, retryable=False)
    return Failure(type=failure.type, message=f"{failure.message}; {remedy}", status_code=failure.status_code)


def describe(error: Exception, *, retryable: bool) -> Failure:
    """An error as status shows it. Rows may be quoted in a report, but never here: this goes to Redis."""
    if isinstance(error, InvalidInputError):
        message = f"{error.total} rows were refused; nothing was sent"
        return Failure(type=error.type, message=message)
    if isinstance(error, BatchRouterError):
        code = error.status_code if isinstance(error, ProviderAPIError | WebhookRefusedError) else 0
        return Failure(type=error.type, message=str(error), retryable=retryable, status_code=code)
    if isinstance(error, OSError):  # the system's own words; those of the exception may quote a name
        message = error.strerror or type(error).__name__
        return Failure(type=FileOperationError.type, message=f"the system says: {message}", retryable=retryable)
    # The words of an error that we did not foresee may quote anything.
    return Failure(type="internal_error", message=f"{type(error).__name__}; see the log", retryable=retryable)


def _delay(attempts: int, error: Exception) -> float:
    longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(attempts, 20))
    backoff = longest * random.uniform(0.75, 1.0)  # noqa: S311
    asked = error.retry_after if isinstance(error, ProviderAPIError | WebhookUnavailableError) else None
    if asked is None:
        return backoff
    return max(backoff, min(asked, LONGEST_RETRY_AFTER) * random.uniform(1.0, 1.1))  # noqa: S311
