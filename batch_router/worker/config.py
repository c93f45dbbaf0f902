"""Celery's settings of our app. Importing them reads no environment, opens no connection and changes nothing.

Operators override them in a module that begins with `from batch_router.worker.config import *`: the `celeryconfig.py`
of a checkout (read by `celery -A workers.app`), or the module that `BATCH_ROUTER_CELERY_CONFIG` names. Dictionaries are
merged into ours key by key.
"""

from collections.abc import Mapping

from celery.app.defaults import SETTING_KEYS
from kombu import Exchange, Queue

from ..exceptions import ValidationError
from ..settings import Settings
from .queues import DEFAULT_QUEUES

include = ["batch_router.worker.tasks"]
worker_consumer = "batch_router.worker.consumer:Consumer"

# A worker started without -Q serves all of these; `gpu` must be asked for.
task_queues = [Queue(name, Exchange(name), routing_key=name) for name in DEFAULT_QUEUES]
task_default_queue = "io"
task_routes = {"batch_router.submit_batch": "io"}

# The store is the truth about a batch; Celery's results are a view of it, and nothing else is kept.
result_backend = "batch_router.worker.results:StoreBackend"
task_ignore_result = True

task_serializer = "json"
accept_content = ["json"]

# No message is sacred (the sweep sends another), so they are acknowledged early and never redelivered in practice.
task_acks_late = False
worker_prefetch_multiplier = 1
broker_transport_options = {
    "visibility_timeout": 3600,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # the default gives up after 100 tries

# For Flower. Arguments are `[id, version]`: no key and no prompt is ever in them.
worker_send_task_events = True
task_send_sent_event = True

#: What is not for a Celery module to set, and what sets it.
_SET_ELSEWHERE = {
    "broker_url": "set BATCH_ROUTER_BROKER_URL",
    "broker_read_url": "set BATCH_ROUTER_BROKER_URL",
    "broker_write_url": "set BATCH_ROUTER_BROKER_URL",
    "result_backend": "results are always the store's",
    "worker_consumer": "it keeps other apps' tasks out",
    "control_exchange": "set BATCH_ROUTER_PREFIX",
    "event_exchange": "set BATCH_ROUTER_PREFIX",
    "event_queue_prefix": "set BATCH_ROUTER_PREFIX",
}


def celery_settings(settings: Settings, overrides: Mapping[str, object] | None = None) -> dict[str, object]:
    """All of Celery's settings.

    Args:
        settings: of this process.
        overrides: an operator's.

    Raises:
        ValidationError: an override is not for Celery's settings to say; says what is.
    """
    ours = {name: value for name, value in globals().items() if name in SETTING_KEYS}
    overrides = overrides or {}
    for name, instead in _SET_ELSEWHERE.items():
        if name in overrides and overrides[name] != ours.get(name):
            raise ValidationError(f"Celery's setting {name} cannot be overridden: {instead}")
    return _merged(_merged(ours, overrides), _names_on_the_wire(settings.prefix))


def _names_on_the_wire(prefix: str) -> dict[str, object]:
    """Queues, kombu's own keys, remote control and events: nothing of ours is another app's on a shared server."""
    return {
        "broker_transport_options": {"global_keyprefix": f"{prefix}."},
        "control_exchange": prefix,
        "event_exchange": f"{prefix}ev",
        "event_queue_prefix": f"{prefix}ev",
    }


def _merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = {**base, **changes}
    for name, change in changes.items():
        if isinstance(change, Mapping) and isinstance(ours := base.get(name), Mapping):
            merged[name] = {**ours, **change}
    return merged
