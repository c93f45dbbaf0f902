"""The one recovery path: every worker looks for what is overdue, each second, and sends its message again."""

import os
import signal
import threading
from typing import Any

import redis
from celery.signals import worker_ready, worker_shutting_down

from ..exceptions import ProviderNotFoundError, StoreUnavailableError, ValidationError
from ..road.advance import log
from ..road.context import Context
from ..settings import Settings
from .app import app
from .process import context
from .routing import publish, queue_of

# Items per look; the rest waits for the next one.
_LIMIT = 500

# A worker counts as listening for this many missed looks.
_MISSED = 10

_stopping = threading.Event()


@worker_ready.connect
def start(sender: Any, **_: Any) -> None:
    """Start the sweep of this worker, in its main process."""
    queues = list(sender.app.amqp.queues.consume_from)
    name = str(sender.hostname)
    threading.Thread(target=_run, args=(name, queues), name="sweep", daemon=True).start()


@worker_shutting_down.connect
def stop(**_: Any) -> None:
    """Leave what is overdue to others."""
    _stopping.set()


def _run(worker: str, queues: list[str]) -> None:
    every = Settings.from_env().sweep_every
    broker = redis.Redis.from_url(app.conf.broker_url, socket_timeout=30)
    while not _stopping.wait(every):
        try:
            context().store.announce(worker, queues, ttl=_MISSED * every)
            sweep(context(), broker)
        except ValidationError as error:
            log.critical("action=refused error=%s", error)
            os.kill(os.getpid(), signal.SIGTERM)  # nothing that this worker does would be of use
            return
        except (StoreUnavailableError, redis.RedisError) as error:
            log.warning("action=sweep_failed error=%s", type(error).__name__)
        except Exception:
            log.exception("action=sweep_failed")


def sweep(context: Context, broker: "redis.Redis") -> None:
    """Send a message for each overdue item, unless its queue is long: then the last one is probably still in it."""
    lengths: dict[str, int] = {}
    for hint in context.store.take_due(_LIMIT, grace=context.settings.grace):
        try:
            queue = queue_of(hint)
        except ProviderNotFoundError as error:  # another worker may have the package; the rest is not to wait for it
            log.warning("action=sweep_skipped item=%s error=%s", hint.id, error)
            continue
        if queue not in lengths:
            lengths[queue] = int(broker.llen(queue))
        if lengths[queue] <= context.settings.queue_gate:
            log.info("action=swept item=%s state=%s", hint.id, hint.state)
            publish(hint)
            lengths[queue] += 1
