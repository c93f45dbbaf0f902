"""One step of the road: claim, run, commit. Both drivers (the Celery tasks, the router) come through here.

Theory of operation. The store has one hash per item and the time at which each is due. `advance` claims an item at a
version; the claim adds one to it, and that number is the fence: it alone opens `renew` and `commit`, so that of two
workers with the same message, or of one that slept through its lease and its successor, one commits and the other
changes nothing. The step in between talks to the provider or to storage. What it says goes into the store in one
commit with the next due time, so that a worker may die at any line: an item that was claimed is due again when its
lease ends, and the next claim runs the same step again.
"""

import logging
import random
import secrets
import time
from typing import NamedTuple, cast

from ..core.jobs import Failure
from ..exceptions import (
    FileOperationError,
    ProviderAPIError,
    RateLimitedError,
    StepCrashesError,
    StoreUnavailableError,
)
from ..security.logs import get_logger
from ..state.base import Commit, Hint
from ..state.facts import ItemFacts, ShardFacts
from ..state.items import AnyItem, Batch, Shard
from ..state.table import check_transition
from . import policy
from .context import Context, Running
from .failure import after_failure, after_success
from .lease import LeaseLostError
from .notices import warnings_of
from .outcome import Outcome
from .payloads import erase_late
from .step import Step
from .steps import find_step
from .tally import tally_of_error, tally_of_results

#: For a longer wait there is no message, only the item's time in `due`.
LONGEST_COUNTDOWN = 60.0

log = get_logger(__name__)


class Advance(NamedTuple):
    """What a step set in motion.

    Attributes:
        hint: the item as it stands now; None if no step follows.
        delay: seconds until the next one.
        woken: other items that can go on at once.
    """

    hint: Hint | None
    delay: float
    woken: list[Hint]


def advance(context: Context, item_id: str, version: int) -> Advance | None:
    """Take an item one step on; None if it is no longer at this version, or was lost on the way.

    Raises:
        StoreUnavailableError: the store cannot be reached; the claim runs out, and the sweep tries again.
    """
    holder = f"{context.worker}/{secrets.token_hex(4)}"
    since = time.monotonic()
    item = context.store.claim(item_id, version, lease=context.settings.lease, holder=holder)
    if item is None:
        log.debug("action=stale item=%s version=%d", item_id, version)
        return None
    with context.keeper.hold(item.id, item.version, holder, since) as lease:
        running = Running.under(lease, context)
        step = find_step(item.state.step)
        try:
            outcome = _run(running, item, step)
        except LeaseLostError:
            log.info("action=lease_lost item=%s state=%s", item.id, item.state)
            _let_go(running, item)
            return None
        return _commit(running, item, step, outcome)


def _run(running: Running, item: AnyItem, step: Step) -> Outcome:
    """The step's outcome, or what follows from its failure."""
    try:
        if item.crashes >= policy.MAX_CRASHES:
            raise StepCrashesError(f"the step {item.state.step} took down its worker {item.crashes} times in a row")
        if isinstance(item, Shard) and step.calls_provider and (left := _pause(running, item)) > 0:
            return _wait_out(running, item, left)
        outcome = step.run(running, item)
    except (LeaseLostError, StoreUnavailableError):
        raise
    except Exception as error:  # whatever it was: it ends in a state that status shows
        return after_failure(running, item, step, error)._replace(tally=tally_of_error(item, error))
    return after_success(running, item, outcome)


def _pause(running: Running, shard: Shard) -> float:
    """Seconds for which the provider wants no calls of the shard's account."""
    try:
        account = running.account_of(shard)
    except ProviderAPIError:  # without a key there is no account; a step that calls the provider says so itself
        return 0
    return running.store.paused(account)


def _wait_out(running: Running, item: AnyItem, left: float) -> Outcome:
    """Leave the provider alone: it has asked another shard of this account to come back later."""
    delay = left * random.uniform(1.0, 1.1)  # noqa: S311
    message = f"{item.provider} asked this account to wait"
    failure = Failure(type=RateLimitedError.type, message=message, retryable=True)
    now = running.store.now()
    since = now if item.held_since is None else item.held_since
    return Outcome(item.state, delay, ItemFacts(error=failure, held_since=since, retry_at=now + delay))


def _commit(running: Running, item: AnyItem, step: Step, outcome: Outcome) -> Advance | None:
    check_transition(item.state, outcome.state)
    delay = None if outcome.state.is_final and not isinstance(item, Batch) else outcome.delay
    # Where a message follows, it has the grace to arrive before the sweep sends another.
    grace = running.settings.grace if delay is not None and delay <= LONGEST_COUNTDOWN else 0
    try:
        commit = Commit(
            state=outcome.state,
            delay=None if delay is None else delay + grace,
            facts=outcome.facts,
            spawn=[*outcome.spawn, *outcome.notices, *warnings_of(running, item, outcome)],
            grace=running.settings.grace,
            forget=outcome.forget,
            tally={**outcome.tally, **tally_of_results(item, outcome.facts)},
        )
        committed = running.store.commit(item.id, item.version, commit, holder=running.lease.holder)
    except Exception:  # whether it was committed is not known
        _undo(running, item, step, outcome)
        raise
    if committed is None:
        log.info("action=fenced item=%s state=%s", item.id, item.state)
        _let_go(running, item)
        _undo(running, item, step, outcome)
        return None
    level = logging.INFO if outcome.state is not item.state else logging.DEBUG
    log.log(level, "action=%s item=%s next=%s", item.state.step, item.id, outcome.state)
    hint = Hint(item.id, committed.version, outcome.state, item.provider, item.queue)
    ends = delay is None or outcome.state.is_final  # what is kept of a batch is looked at much later
    return Advance(None if ends else hint, delay or 0, committed.woken)


def _let_go(running: Running, item: AnyItem) -> None:
    """Say that this worker lives: what it lost was a lease, and the next claim of the item follows no crash.

    Where the batch was purged meanwhile, what this worker wrote goes, too.
    """
    try:
        running.store.let_go(item.id, holder=running.lease.holder)
        erase_late(running, item)
    except (StoreUnavailableError, FileOperationError) as error:
        log.warning("action=let_go_failed item=%s error=%s", item.id, error)


def _undo(running: Running, item: AnyItem, step: Step, outcome: Outcome) -> None:
    if step.undo is None or not isinstance(item, Shard):
        return
    try:
        step.undo(running, item, cast(ShardFacts, outcome.facts))
    except (ProviderAPIError, StoreUnavailableError) as error:  # `doctor --orphans` finds what is left
        log.warning("action=undo_failed item=%s error=%s", item.id, error)
