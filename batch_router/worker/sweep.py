"""The one recovery path: every worker looks for what is overdue, each second, and sends its message again."""

import os
import signal
import threading
import time

import redis
from celery.exceptions import QueueNotFound

from ..connect import open_broker, queue_key
from ..exceptions import ProviderNotFoundError, StoreUnavailableError, ValidationError
from ..road.context import Context
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


def start_sweep(worker: str, queues: Queues) -> None:
    """Sweep in a thread of the worker's main process until it ends.

    Args:
        worker: its name.
        queues: of its app; those that it consumes from may change by remote control.
    """
    threading.Thread(target=_run, args=(worker, queues), name="sweep", daemon=True).start()


def _run(worker: str, queues: Queues) -> None:
    settings = Settings.from_env()
    broker = None
    reported = False
    while not is_stopping():  # the rest is for other workers
        try:
            broker = broker or open_broker(settings)
            context().store.announce(worker, list(queues.consume_from), ttl=_MISSED * settings.sweep_every)
            reported = reported or _report_foreign(context())
            sweep(context(), broker)
        except ValidationError as error:
            log.critical("action=refused error=%s", error)
            os.kill(os.getpid(), signal.SIGTERM)  # nothing that this worker does would be of use
            return
        except (StoreUnavailableError, redis.RedisError) as error:
            log.warning("action=sweep_failed error=%s", type(error).__name__)
        except Exception:
            log.exception("action=sweep_failed")
        time.sleep(settings.sweep_every)


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
