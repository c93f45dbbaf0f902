"""What follows from a step that failed: other shards of its account learn what concerns them, and the item goes on."""

import logging
from typing import Final

import msgspec

from ..core import BatchError, Failure
from ..exceptions import BatchRouterError, CredentialsError, InvalidInputError, RateLimitedError
from ..security.logs import get_logger
from ..state.facts import BatchFacts, ItemFacts
from ..state.items import AnyItem, Batch, Notice, Shard
from ..state.table import State
from . import policy
from .context import Running
from .layout import batch_object
from .lease import LeaseLostError
from .outcome import Outcome, batch_to, notice_to, shard_to
from .step import Step

log = get_logger(__name__)

#: What is true of an item whose step did not fail.
NO_TROUBLE: Final = ItemFacts(attempts=0, held_since=None, retry_at=None, error=None)


def after_success(running: Running, item: AnyItem, outcome: Outcome) -> Outcome:
    """The outcome of a step that did its work; where it waits for something, since when and until when."""
    if outcome.facts.get("error") is None or outcome.state.is_final:
        return outcome.over(NO_TROUBLE)
    now = running.store.now()
    waits_on = item.held_since is not None and bool(item.attempts) == bool(outcome.facts.get("attempts"))
    facts = ItemFacts(held_since=item.held_since if waits_on else now, retry_at=now + (outcome.delay or 0))
    return outcome.over(facts).over(NO_TROUBLE)


def after_failure(running: Running, item: AnyItem, step: Step, error: Exception) -> Outcome:
    """Where an item goes whose step raised: it stays for another try, waits for the operator, or gives up.

    Raises:
        LeaseLostError: another worker has the item.
    """
    _tell_the_account(running, item, error)
    current = _as_stored(running, item)
    now = running.store.now()
    decision = policy.decide(current, error, now)
    _log(current, decision, error)
    if decision.state is current.state:
        return _try_again(current, decision, now)
    if isinstance(current, Batch):
        return _end_batch(running, current, decision, error)
    if isinstance(current, Notice):
        return notice_to(decision.state, failure=decision.failure, attempts=current.attempts + 1).over(NO_TROUBLE)
    if step.give_up is not None and (outcome := step.give_up(running, current, decision.failure)) is not None:
        return outcome.over(NO_TROUBLE)
    if decision.state is State.PARKED:
        return shard_to(State.PARKED, error=decision.failure).over(NO_TROUBLE)
    return shard_to(decision.state, failure=decision.failure).over(NO_TROUBLE)


def _tell_the_account(running: Running, item: AnyItem, error: Exception) -> None:
    """A refused key is looked up again, and a Retry-After holds for all shards of the account."""
    if isinstance(error, CredentialsError):
        running.clients.forget(item.provider, item.credential)
    if isinstance(error, RateLimitedError) and error.retry_after and isinstance(item, Shard):
        running.store.pause(running.account_of(item), min(error.retry_after, policy.LONGEST_RETRY_AFTER))


def _as_stored(running: Running, item: AnyItem) -> AnyItem:
    """The item as it stands now: its step may have written down an intent. Tries that made progress do not count."""
    if not isinstance(item, Shard):
        return item
    current = running.store.get_shard(item.id)
    if current is None or current.version != item.version:
        raise LeaseLostError(item.id)
    made_progress = _completed(current) > _completed(item)
    return msgspec.structs.replace(current, attempts=0) if made_progress else current


def _completed(shard: Shard) -> int:
    return shard.progress.completed if shard.progress else 0


def _try_again(item: AnyItem, decision: policy.Decision, now: float) -> Outcome:
    facts = ItemFacts(
        error=decision.failure,
        attempts=item.attempts + 1,
        held_since=policy.failing_since(item, now),
        retry_at=now + decision.delay,
    )
    return Outcome(item.state, decision.delay, facts)


def _end_batch(running: Running, batch: Batch, decision: policy.Decision, error: Exception) -> Outcome:
    facts = BatchFacts(failure=decision.failure)
    if decision.state.is_final:
        facts["ended_at"] = running.store.now()
    if isinstance(error, InvalidInputError):
        facts["report"] = _write_report(running, batch, decision.failure, error)
    return batch_to(decision.state, **facts).over(NO_TROUBLE)


def _write_report(running: Running, batch: Batch, failure: Failure, error: InvalidInputError) -> str:
    report = BatchError(type=failure.type, message=failure.message, total=error.total, problems=tuple(error.problems))
    name = batch_object(batch, "report")
    with running.storage.write(name) as stream:
        stream.write(msgspec.json.encode(report))
    return name


def _log(item: AnyItem, decision: policy.Decision, error: Exception) -> None:
    foreseen = isinstance(error, BatchRouterError)
    log.log(
        logging.INFO if foreseen else logging.ERROR,
        "action=step_failed item=%s state=%s next=%s delay=%.1f error=%s",
        item.id,
        item.state,
        decision.state,
        decision.delay,
        decision.failure.type,
        exc_info=None if foreseen else error,
    )
