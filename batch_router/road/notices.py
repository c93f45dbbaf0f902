"""Which notices the end of a batch makes, and what a person has to know before."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ..core.jobs import Failure
from ..exceptions import CorruptItemError, SchemaError
from ..security.logs import get_logger
from ..state.base import Commit, Hint
from ..state.events import Event
from ..state.facts import BatchFacts
from ..state.items import AnyItem, Batch, Notice, Shard
from ..state.table import State
from .context import Context
from .deadline import seconds_left
from .outcome import Outcome

log = get_logger(__name__)

PARKED: Final = "shard.parked"
UNATTENDED: Final = "queue.unattended"
WAITING: Final = "batch.waiting"
# Why a shard waits until a person raises a budget, or names a price: see `ledger.py`. Room for tokens comes by itself.
_WANT_MONEY = frozenset({"over_budget", "price_unknown"})
# Of a batch: with thousands of shards parked, one more webhook says nothing new; `status` counts them.
_MOST_WARNINGS = 100


def notices_of(batch: Batch) -> Sequence[Notice]:
    """The notices of a batch that has ended: a webhook, and tasks for its success, or those for any other end."""
    end = f"batch.{batch.state}"
    webhooks = [_webhook(batch, Event(key=_key(batch, end), type=end))] if batch.webhook else []
    tasks = [
        Notice(
            state=State.NOTIFYING,
            provider=batch.provider,
            queue=batch.queue,
            batch=batch.id,
            callback=place,
            task=callback.task,
        )
        for place, callback in enumerate(batch.callbacks)
        if callback.on_error is not batch.succeeded
    ]
    return [*webhooks, *tasks]


def warnings_of(context: Context, item: AnyItem, outcome: Outcome) -> Sequence[Notice]:
    """The webhook for a shard that is being parked, or waits for a budget, made by the commit that says so."""
    cause = outcome.facts.get("error")
    is_parked = outcome.state is State.PARKED and item.state is not State.PARKED
    if not isinstance(item, Shard) or not (is_parked or (cause is not None and cause.type in _WANT_MONEY)):
        return []
    with suppress(CorruptItemError, SchemaError):  # it is parked, or waits, without
        batch = context.store.get_batch(item.batch)
        if batch is not None and _wants_warnings(batch):
            told = [notice.event for notice in context.store.get_notices(batch) if notice.event is not None]
            event = _parked(batch, item, cause, told) if is_parked else _waiting(context, batch, item, cause)
            return [_webhook(batch, event)] if event.key not in {each.key for each in told} else []
    return []


def _parked(batch: Batch, shard: Shard, cause: Failure | None, told: Sequence[Event]) -> Event:
    """Once each time that it is parked."""
    times = sum(event.type == PARKED and event.shard == shard.id for event in told)
    return Event(key=_key(batch, PARKED, shard.id, times), type=PARKED, shard=shard.id, cause=cause)


def _waiting(context: Context, batch: Batch, shard: Shard, cause: Failure | None) -> Event:
    """Once for each budget, whichever shard waits."""
    now = context.store.get_shard(shard.id)  # the step has put it into a line since it was claimed
    budget = now.waits_for.partition(":")[2] if now is not None and now.waits_for is not None else None
    return Event(key=_key(batch, WAITING, budget), type=WAITING, budget=budget, cause=cause)


def warn_of_unattended(context: Context, batch_id: str, queue: str) -> Sequence[Hint]:
    """Make the webhook for a queue that no worker listens on, once for each queue of a batch.

    Returns:
        What goes on at once.
    """
    batch = context.store.get_batch(batch_id)
    if batch is None or not _wants_warnings(batch) or queue in batch.unattended or batch.cancel:
        return []
    # Any worker that is there can send this one: the batch's own queue may be the one without workers.
    event = Event(key=_key(batch, UNATTENDED, queue), type=UNATTENDED, queue=queue)
    notice = _webhook(batch, event, queue=str(State.NOTIFYING.queue))
    delay = seconds_left(context, batch) if batch.state is State.RUNNING else 0
    facts = BatchFacts(unattended=(*batch.unattended, queue))
    commit = Commit(batch.state, delay, facts, spawn=[notice], grace=context.settings.grace)
    holder = f"{context.worker}/{secrets.token_hex(4)}"
    committed = context.store.decide(batch, commit, holder=holder)
    if committed is None:  # a worker has it: the next look finds it again
        return []
    log.warning("action=unattended batch=%s queue=%s", batch.id, queue)
    return committed.woken


def _key(batch: Batch, *what: object) -> str:
    """Names an event. No time and no version is a part of it: a store that forgets the event has it happen again."""
    return "/".join(map(str, (batch.submission, batch.resumed, *what)))


def _wants_warnings(batch: Batch) -> bool:
    return batch.webhook and not batch.state.is_final and batch.notices < _MOST_WARNINGS


def _webhook(batch: Batch, event: Event, queue: str | None = None) -> Notice:
    return Notice(
        state=State.NOTIFYING, provider=batch.provider, queue=queue or batch.queue, batch=batch.id, event=event
    )
