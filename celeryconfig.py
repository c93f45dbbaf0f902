"""The Celery settings of `celery -A workers.app worker`: those of batch_router, to be overridden below."""

from batch_router.worker.config import *  # noqa: F403
