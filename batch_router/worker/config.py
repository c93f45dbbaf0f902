"""Celery's settings of our app. Importing them reads no environment, opens no connection and changes nothing.

Operators override them in a module that begins with `from batch_router.worker.config import *`: the `celeryconfig.py`
of a checkout (read by `celery -A workers.app`), or the module that `BATCH_ROUTER_CELERY_CONFIG` names. Dictionaries are
merged into ours key by key.
"""

import __future__

from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType

from celery.app.defaults import SETTING_KEYS
from kombu import Exchange, Queue

from ..exceptions import ValidationError
from ..settings import Settings
from .queues import DEFAULT_QUEUES

#: What `import *` gives: the settings, and none of the names that they are made with.
__all__ = [
    "accept_content",
    "broker_channel_error_retry",
    "broker_connection_max_retries",
    "broker_connection_retry_on_startup",
    "broker_transport_options",
    "include",
    "result_backend",
    "task_acks_late",
    "task_default_queue",
    "task_ignore_result",
    "task_queues",
    "task_routes",
    "task_send_sent_event",
    "task_serializer",
    "worker_consumer",
    "worker_prefetch_multiplier",
    "worker_send_task_events",
]

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
broker_channel_error_retry = True  # a key of ours that holds something else ends no worker
broker_connection_max_retries = None  # the default gives up after 100 tries

# For Flower. Arguments are `[id, version]`: no key and no prompt is ever in them.
worker_send_task_events = True
task_send_sent_event = True

# What an `import` leaves in a module, besides functions and classes.
_NO_VALUES = (ModuleType, type(__future__.annotations))

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
        ValidationError: an override is no setting of Celery's, or is set elsewhere; says what to write.
    """
    ours = {name: globals()[name] for name in __all__}
    overrides = _settings_of(overrides or {})
    for name, instead in _SET_ELSEWHERE.items():
        if name in overrides and overrides[name] != ours.get(name):
            raise ValidationError(f"Celery's setting {name} cannot be overridden: {instead}")
    return _merged(_merged(ours, overrides), _names_on_the_wire(settings.prefix))


def _settings_of(module: Mapping[str, object]) -> dict[str, object]:
    """The settings among a module's names: it also has those of what it imports and defines."""
    for name, value in module.items():
        if name not in SETTING_KEYS and not (isinstance(value, _NO_VALUES) or callable(value)):
            close = get_close_matches(name, SETTING_KEYS, 1)
            hint = f"did you mean {close[0]!r}? A" if close else "a"
            raise ValidationError(f"Celery has no setting {name!r}; {hint} name of your own must begin with '_'")
    return {name: value for name, value in module.items() if name in SETTING_KEYS}


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
