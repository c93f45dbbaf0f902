"""The one recovery path: every worker looks for what is overdue, each second, and sends its message again."""

import os
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress

import redis
from celery.worker import state

from ..connect import open_broker, queue_key
from ..exceptions import StoreUnavailableError, ValidationError
from ..operations.rebuild import find_again
from ..road.context import Context
from ..road.journal import settle
from ..road.queues import queue_of
from ..road.rounds import Rounds
from ..security.logs import get_logger
from ..settings import Settings
from ..state.base import SWEEPING, Hint
from ..state.items import batch_id_of
from .process import context, is_stopping
from .queues import Queues
from .routing import publish
from .unattended import Unattended

log = get_logger(__name__)

# Items per look; the rest waits for the next one.
_LIMIT = 500

# How often an item is held back before it is sent to a long queue: at a grace of 5 s, 5, 10 and 20 s.
_PATIENCE = 3

# A worker counts as listening for this many missed looks.
_MISSED = 10

# Seconds that a round of the journal may take: it asks providers to cancel jobs, each within a time-out.
_LONGEST_SETTLING = 3600.0

# Seconds between two looks, of the whole fleet, for open items whose time is lost: a server may evict or lose a key.
_LOOK_FOR_TIMES = 60.0

# Seconds between two searches for batches that the store took and does not know.
_SEARCH_EVERY = 3600.0


def start_sweep(worker: str, queues: Queues) -> None:
    """Sweep in a thread of the worker's main process until it ends, and watch that thread from another.

    Args:
        worker: its name.
        queues: of its app; those that it consumes from may change by remote control.
    """
    threading.Thread(target=_watch, args=(worker, queues), name="watch", daemon=True).start()


def _watch(worker: str, queues: Queues) -> None:
    """Replace the sweep's thread and the lease keeper's when they die or hang, and announce what this worker does."""
    settings = Settings.from_env()
    swept = Sweep(settings)
    sweeping = Rounds("sweep", swept.round, settings.sweep_every)
    settling = Rounds("journal", _settle, settings.lease, hangs_after=_LONGEST_SETTLING)
    while not is_stopping():  # the rest is for other workers
        try:
            is_well = sweeping.look_after()
            settling.look_after()
            ours = context()
            ours.keeper.look_after()
            does = [*queues.consume_from, *([SWEEPING] if is_well else [])]
            swept.epoch = ours.store.announce(worker, does, ttl=_MISSED * settings.sweep_every)
        except ValidationError as error:
            end_worker(error)
        except StoreUnavailableError as error:
            log.warning("action=announce_failed error=%s", error)
        except Exception:  # this thread watches all others: no error may end it
            log.exception("action=watch_failed")
        time.sleep(settings.sweep_every)
    sweeping.close()


def _settle() -> None:
    with suppress(StoreUnavailableError, ValidationError):  # the sweep says so
        settle(context())


def end_worker(why: Exception) -> None:
    """End this worker after its running steps: nothing that it does would be of use. It exits with `os.EX_CONFIG`."""
    log.critical("action=refused error=%s", why)
    state.should_stop = os.EX_CONFIG


class Sweep:
    """What the sweep's thread does each second.

    Attributes:
        epoch: of the store, as it was last heard of.
    """

    epoch = ""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker: redis.Redis | None = None
        self._has_reported = False
        self._searched, self._next_search = "", 0.0
        self._next_look_for_times = 0.0
        self._unattended = Unattended()

    def round(self) -> None:
        """Look once; no error ends the thread."""
        if is_stopping():
            return
        for part in (self._sweep, self._find_again, self._restore_times, self._report):  # each fails alone
            try:
                part()
            except ValidationError as error:
                end_worker(error)
            except (StoreUnavailableError, redis.RedisError) as error:
                log.warning("action=%s_failed error=%s", part.__name__.strip("_"), _described(error))
            except Exception:
                log.exception("action=%s_failed", part.__name__.strip("_"))

    def _sweep(self) -> None:
        self._broker = self._broker or open_broker(self._settings)
        self._unattended.look(context(), sweep(context(), self._broker))

    def _report(self) -> None:
        """Log once that items wait for workers of another version."""
        if self._has_reported:
            return
        for item_id in context().store.foreign_items(1):
            log.warning("action=left_alone first=%s: another version made it, and others perhaps", item_id)
        self._has_reported = True

    def _find_again(self) -> None:
        """In another epoch the store may have forgotten what it took; and single keys may be deleted at any time."""
        epoch = self.epoch
        if epoch != self._searched or time.monotonic() > self._next_search:
            find_again(context())
            self._searched, self._next_search = epoch, time.monotonic() + _SEARCH_EVERY

    def _restore_times(self) -> None:
        if time.monotonic() > self._next_look_for_times:
            self._next_look_for_times = time.monotonic() + _LOOK_FOR_TIMES
            for item_id in context().store.restore_times(every=_LOOK_FOR_TIMES):
                log.warning("action=time_restored item=%s: the server had lost when it is due", item_id)


def _described(error: Exception) -> str:
    """Ours are sentences; what the broker's client says may quote arguments."""
    return str(error) if isinstance(error, StoreUnavailableError) else type(error).__name__


def sweep(context: Context, broker: "redis.Redis") -> Mapping[str, Collection[str]]:
    """Send a message for each overdue item, those first that wait for longest.

    If its queue is long, the last message is probably still in it: then the item is held back, for twice as long each
    time, and from the third time on another message is sent. What is urgent is sent at once.

    Returns:
        The batches of these items, by queue.

    Raises:
        StoreUnavailableError: the store does not answer.
        redis.RedisError: the broker does not answer.
    """
    lengths: dict[str, int] = {}
    held_back: list[Hint] = []
    waiting: dict[str, set[str]] = {}
    for hint in context.store.take_due(_LIMIT, grace=context.settings.grace):
        try:
            if _send(context, broker, hint, lengths):
                held_back.append(hint)
            waiting.setdefault(queue_of(hint), set()).add(batch_id_of(hint.id))
        except redis.RedisError:
            raise
        except Exception as error:  # of its provider's package or its queue: another worker may have them
            log.warning("action=sweep_skipped item=%s error=%r", hint.id, error)
    context.store.hold_back(held_back)
    return waiting


def _send(context: Context, broker: "redis.Redis", hint: Hint, lengths: dict[str, int]) -> bool:
    """Whether the item's queue is long."""
    queue = queue_of(hint)
    if queue not in lengths:
        lengths[queue] = int(broker.llen(queue_key(context.settings, queue)))
    is_long = lengths[queue] > context.settings.queue_gate
    if not is_long or hint.urgent or hint.held_back >= _PATIENCE:
        log.info("action=swept item=%s state=%s", hint.id, hint.state)
        publish(hint)
        lengths[queue] += 1
    return is_long
