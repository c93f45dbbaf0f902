"""One step of the road: claim, run, commit. Both drivers (the Celery tasks, the router) come through here."""

import dataclasses
import logging
import random
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import msgspec

from ..core.jobs import Failure
from ..exceptions import (
    BatchRouterError,
    CredentialsError,
    InvalidInputError,
    ProviderAPIError,
    RateLimitedError,
    StoreUnavailableError,
)
from ..state.base import Commit, Hint
from ..state.items import Batch, Item, Shard
from ..state.table import TABLE, State, check_transition
from . import policy
from .context import Context, Outcome
from .layout import batch_folder
from .lease import LeaseLostError
from .local_job import after_run, settle
from .steps.clean import clean
from .steps.convert import convert
from .steps.create import create, undo_create
from .steps.download import download
from .steps.expire import expire
from .steps.finish import finish
from .steps.normalize import normalize
from .steps.poll import poll
from .steps.upload import undo_upload, upload

STEPS: dict[str, Callable[[Context, Any], Outcome]] = {
    "convert": convert,
    "expire": expire,
    "upload": upload,
    "create": create,
    "poll": poll,
    "download": download,
    "normalize": normalize,
    "clean": clean,
    "finish": finish,
}

# What to take back where the commit came too late, after somebody else had taken the item over.
_UNDO: dict[State, Callable[[Context, Any, Outcome], None]] = {
    State.UPLOADING: undo_upload,
    State.CREATING: undo_create,
}

# The steps that call the provider.
_CALLING = frozenset({"upload", "create", "poll", "download", "clean"})

#: For a longer wait there is no message, only the item's time in `due`.
LONGEST_COUNTDOWN = 60.0

log = logging.getLogger("batch_router")


class Advance(NamedTuple):
    """What a step set in motion.

    Attributes:
        hint: the item as it stands now; None if nobody needs to look at it again.
        delay: seconds until somebody should.
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
        try:
            outcome = _run(dataclasses.replace(context, _lease=lease), item)
        except LeaseLostError:
            log.info("action=lease_lost item=%s state=%s", item.id, item.state)
            return None
        return _commit(context, item, outcome, holder)


def _run(context: Context, item: Batch | Shard) -> Outcome:
    """The step's outcome, or what follows from its failure."""
    step = TABLE[item.state].step
    if step is None:
        raise RuntimeError(f"nothing is to be done in {item.state}")
    try:
        if item.crashes >= policy.MAX_CRASHES:
            raise RuntimeError(f"{step} took down its worker {item.crashes} times")
        if step in _CALLING and (left := context.store.paused(item.account)) > 0:
            return _wait_out(context, item, left)
        outcome = STEPS[step](context, item)
    except (LeaseLostError, StoreUnavailableError):
        raise
    except Exception as error:  # whatever it was: it ends in a state that status shows
        return _fail(context, item, error)
    return outcome._replace(patch={"attempts": 0, "retry_at": None, "error": None, **outcome.patch})


def _wait_out(context: Context, item: Batch | Shard, left: float) -> Outcome:
    """Leave the provider alone: it has asked another shard of this account to come back later."""
    delay = left * random.uniform(1.0, 1.1)  # noqa: S311
    failure = Failure(type=RateLimitedError.type, message=f"{item.provider} asked to be left alone", retryable=True)
    return Outcome(item.state, delay, {"error": failure, "retry_at": context.store.now() + delay})


def _fail(context: Context, item: Batch | Shard, error: Exception) -> Outcome:
    patch: dict[str, Any]
    local = item.state is State.CREATING and _is_local(context, item)
    if isinstance(error, CredentialsError):
        context.clients.forget(item.provider, item.credential)
    if isinstance(error, RateLimitedError) and error.retry_after:
        context.store.pause(item.account, min(error.retry_after, policy.LONGEST_RETRY_AFTER))
    if isinstance(item, Shard):  # the step may have written down its intent since
        current = context.store.get_shard(item.id)
        if current is None or current.version != item.version:
            raise LeaseLostError(item.id)
        item = current if not local else after_run(item, current)
    decision = policy.decide(item, error)
    trace = error if not isinstance(error, BatchRouterError) else None
    log.log(
        logging.ERROR if trace else logging.INFO,
        "action=step_failed item=%s state=%s next=%s delay=%.1f error=%s",
        item.id,
        item.state,
        decision.state,
        decision.delay,
        decision.failure.type,
        exc_info=trace,
    )
    if decision.state is item.state:
        retry_at = context.store.now() + decision.delay
        patch = {"error": decision.failure, "attempts": item.attempts + 1, "retry_at": retry_at}
        return Outcome(item.state, decision.delay, patch)
    patch = {"attempts": 0, "retry_at": None, "error": None}
    if local:
        return settle(context, cast(Shard, item), patch | {"failure": decision.failure})
    if decision.state is State.PARKED:
        return Outcome(State.PARKED, patch=patch | {"error": decision.failure})
    if isinstance(error, InvalidInputError):
        patch["report"] = _write_report(context, item, error)
    return Outcome(decision.state, patch=patch | {"failure": decision.failure})


def _is_local(context: Context, item: Item) -> bool:
    try:
        return not context.clients.provider(item.provider).remote
    except Exception:  # a plugin that cannot be loaded has run nothing here
        return False


def _take_back(context: Context, item: Batch | Shard, outcome: Outcome) -> None:
    undo = _UNDO.get(item.state)
    if undo is None:
        return
    try:
        undo(context, item, outcome)
    except ProviderAPIError as error:  # `doctor --orphans` finds what is left
        log.warning("action=undo_failed item=%s error=%s", item.id, error)


def _write_report(context: Context, item: Batch | Shard, error: InvalidInputError) -> str:
    name = f"{batch_folder(item.provider, item.id)}/report-{item.version}.json"
    with context.storage.write(name) as stream:
        stream.write(msgspec.json.encode({"total": error.total, "problems": error.problems}))
    return name


def _commit(context: Context, item: Batch | Shard, outcome: Outcome, holder: str) -> Advance | None:
    check_transition(item.state, outcome.state)
    delay = outcome.delay if TABLE[outcome.state].step is not None else None
    # Where a message follows, it has the grace to arrive before the sweep sends another.
    grace = context.settings.grace if delay is not None and delay <= LONGEST_COUNTDOWN else 0
    commit = Commit(
        state=outcome.state,
        delay=None if delay is None else delay + grace,
        patch=outcome.patch,
        spawn=outcome.spawn,
        grace=context.settings.grace,
    )
    committed = context.store.commit(item.id, item.version, commit, holder=holder)
    if committed is None:
        log.info("action=fenced item=%s state=%s", item.id, item.state)
        _take_back(context, item, outcome)
        return None
    log.log(
        logging.INFO if outcome.state is not item.state else logging.DEBUG,
        "action=%s item=%s next=%s",
        TABLE[item.state].step,
        item.id,
        outcome.state,
    )
    hint = Hint(item.id, committed.version, outcome.state, item.provider, item.queue)
    return Advance(None if delay is None else hint, delay or 0, committed.woken)
