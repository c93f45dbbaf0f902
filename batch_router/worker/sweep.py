"""The one recovery path: every worker looks for what is overdue, each second, and sends its message again."""

import os
import threading
import time

import redis
from celery.exceptions import QueueNotFound
from celery.worker import state

from ..connect import open_broker, queue_key
from ..exceptions import ProviderNotFoundError, StoreUnavailableError, ValidationError
from ..road.context import Context
from ..road.rounds import Rounds
from ..security.logs import get_logger
from ..settings import Settings
from ..state.base import Hint
from .process import context, is_stopping
from .queues import Queues
from .routing import publish, queue_of

log = get_logger(__name__)

# Items per look; the rest waits for the next one.
_LIMIT = 500

# A worker counts as listening for this many missed looks.
_MISSED = 10


#: A worker whose sweep runs is announced as a listener on this, too. No queue has that name.
SWEEPING = "sweep"


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
    sweeping = Rounds("sweep", Sweep(settings).round, settings.sweep_every)
    while not is_stopping():  # the rest is for other workers
        try:
            is_well = sweeping.look_after()
            ours = context()
            ours.keeper.look_after()
            does = [*queues.consume_from, *([SWEEPING] if is_well else [])]
            ours.store.announce(worker, does, ttl=_MISSED * settings.sweep_every)
        except ValidationError as error:
            end_worker(error)
        except StoreUnavailableError as error:
            log.warning("action=announce_failed error=%s", error)
        except Exception:  # this thread watches all others: no error may end it
            log.exception("action=watch_failed")
        time.sleep(settings.sweep_every)
    sweeping.close()


def end_worker(why: Exception) -> None:
    """End this worker after its running steps: nothing that it does would be of use. It exits with `os.EX_CONFIG`."""
    log.critical("action=refused error=%s", why)
    state.should_stop = os.EX_CONFIG


class Sweep:
    """What the sweep's thread does each second."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._broker: redis.Redis | None = None
        self._reported = False

    def round(self) -> None:
        """Look once; no error ends the thread."""
        if is_stopping():
            return
        try:
            self._broker = self._broker or open_broker(self._settings)
            self._reported = self._reported or _report_foreign(context())
            sweep(context(), self._broker)
        except ValidationError as error:
            end_worker(error)
        except (StoreUnavailableError, redis.RedisError) as error:
            log.warning("action=sweep_failed error=%s", _described(error))
        except Exception:
            log.exception("action=sweep_failed")


def _described(error: Exception) -> str:
    """Ours are sentences; what the broker's client says may quote arguments."""
    return str(error) if isinstance(error, StoreUnavailableError) else type(error).__name__


def _report_foreign(context: Context) -> bool:
    """Log which batches wait for workers of another version; True, for once is enough."""
    foreign = context.store.foreign_batches()
    if foreign:
        log.warning("action=left_alone batches=%d first=%s: another version made them", len(foreign), foreign[0])
    return True


def sweep(context: Context, broker: "redis.Redis") -> None:
    """Send a message for each overdue item, unless its queue is long: then the last one is probably still in it."""
    lengths: dict[str, int] = {}
    for hint in context.store.take_due(_LIMIT, grace=context.settings.grace):
        try:
            _send(context, broker, hint, lengths)
        except (ProviderNotFoundError, QueueNotFound) as error:  # another worker may have it; do not block other items
            log.warning("action=sweep_skipped item=%s error=%s", hint.id, error)


def _send(context: Context, broker: "redis.Redis", hint: Hint, lengths: dict[str, int]) -> None:
    queue = queue_of(hint)
    if queue not in lengths:
        lengths[queue] = int(broker.llen(queue_key(context.settings, queue)))
    if lengths[queue] <= context.settings.queue_gate:
        log.info("action=swept item=%s state=%s", hint.id, hint.state)
        publish(hint)
        lengths[queue] += 1
