"""What to do when a step fails: a decision, which the kernel carries out."""

import random
from typing import NamedTuple

import msgspec

from ..core.jobs import Failure
from ..exceptions import (
    AnswersTooLargeError,
    BatchRouterError,
    CorruptItemError,
    InvalidInputError,
    NotFoundError,
    ProviderAPIError,
)
from ..state.items import Batch, Shard
from ..state.table import State

# Seconds: 1, 2, 4 ... up to ten minutes. 150 tries are about a day, as long as the providers themselves try.
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 600.0
MAX_ATTEMPTS = 150

# An error that we did not foresee is more likely a bug than a passing condition.
MAX_SURPRISES = 5

# A step that takes down its worker this often in a row is given up.
MAX_CRASHES = 20

#: Upper bound on an honoured Retry-After.
LONGEST_RETRY_AFTER = 3600.0


class Decision(NamedTuple):
    """Attributes: `state` to go to, after `delay` seconds, with the `failure` to show."""

    state: State
    delay: float
    failure: Failure


def decide(item: Batch | Shard, error: Exception) -> Decision:
    """Whether to try the step again, and when; or where to go instead."""
    if isinstance(error, CorruptItemError) and error.item_id != item.id:  # another one, which may be restored
        return Decision(item.state, _delay(item.attempts, error), describe(error, retryable=True))
    if isinstance(error, AnswersTooLargeError) and State.PARKED in item.state.successors:  # a setting is the operator's
        remedy = f"raise it where the workers run; then `batch-router resolve {item.id} --attach JOB` fetches them"
        failure = describe(error, retryable=False)
        return Decision(State.PARKED, 0, msgspec.structs.replace(failure, message=f"{failure.message}: {remedy}"))
    limit = MAX_ATTEMPTS if isinstance(error, BatchRouterError) else MAX_SURPRISES
    if _is_worth_a_retry(item, error) and item.attempts + 1 < limit:
        return Decision(item.state, _delay(item.attempts, error), describe(error, retryable=True))
    state = item.state.given_up
    if isinstance(item, Shard) and item.state is State.CREATING and item.intent is not None:
        state = State.PARKED  # a job may exist: that is for the operator to say
    return Decision(state, _LONGEST_DELAY if state is item.state else 0, describe(error, retryable=False))


def _is_worth_a_retry(item: Batch | Shard, error: Exception) -> bool:
    return not isinstance(error, BatchRouterError) or error.retryable or _is_paid_for(item, error)


def _is_paid_for(item: Batch | Shard, error: Exception) -> bool:
    """Whether giving up would abandon a job that costs money: a key may be replaced, a proxy or a setting mended.

    Only NotFound is conclusive.
    """
    return isinstance(item, Shard) and item.job is not None and not isinstance(error, NotFoundError)


def describe(error: Exception, *, retryable: bool) -> Failure:
    """An error as status shows it. Rows may be quoted in a report, but never here: this goes to Redis."""
    if isinstance(error, InvalidInputError):
        message = f"{error.total} rows were refused; nothing was sent"
        return Failure(type=error.type, message=message)
    if isinstance(error, BatchRouterError):
        code = error.status_code if isinstance(error, ProviderAPIError) else 0
        return Failure(type=error.type, message=str(error), retryable=retryable, status_code=code)
    # The words of an error that we did not foresee may quote anything.
    return Failure(type="internal_error", message=f"{type(error).__name__}; see the log", retryable=retryable)


def _delay(attempts: int, error: Exception) -> float:
    longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(attempts, 20))
    backoff = longest * random.uniform(0.75, 1.0)  # noqa: S311
    asked = error.retry_after if isinstance(error, ProviderAPIError) else None
    if asked is None:
        return backoff
    return max(backoff, min(asked, LONGEST_RETRY_AFTER) * random.uniform(1.0, 1.1))  # noqa: S311
