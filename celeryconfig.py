"""The Celery settings of `celery -A workers.app worker`: those of batch_router, and below them your own.

For example `worker_prefetch_multiplier = 4`, or `broker_transport_options = {"visibility_timeout": 600}`: a dictionary
is merged into ours. `celery -A batch_router.worker` does not read this file; there, `BATCH_ROUTER_CELERY_CONFIG` names
such a module.
"""

from batch_router.worker.config import *  # noqa: F403
