"""`from workers.tasks import submit_batch`."""

from batch_router.worker import submit_batch

from . import app as app  # with the Celery settings of this checkout

__all__ = ["submit_batch"]
