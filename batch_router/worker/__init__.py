"""The Celery driver: the steps as tasks, on queues, with a sweep in every worker.

celery -A batch_router.worker worker -Q io,poll,cpu

from batch_router.worker import submit_batch
"""

from .app import app
from .submission import SubmittedBatch
from .tasks import submit_batch

__all__ = ["SubmittedBatch", "app", "submit_batch"]
