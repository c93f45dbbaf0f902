"""The Celery settings of the app. Where Redis is comes from the environment: see `batch_router.settings`."""

from kombu import Exchange, Queue

from ..connect import broker_url as _broker_url
from ..settings import Settings
from ..worker.routing import DEFAULT_QUEUES

broker_url = _broker_url(Settings.from_env())
include = ["batch_router.worker.tasks", "batch_router.worker.sweep", "batch_router.worker.leftovers"]

# A worker started without -Q serves all of these; `gpu` must be asked for.
task_queues = [Queue(name, Exchange(name), routing_key=name) for name in DEFAULT_QUEUES]
task_default_queue = "io"

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
