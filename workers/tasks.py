"""`from workers.tasks import submit_batch`."""

from batch_router.worker import submit_batch

__all__ = ["submit_batch"]
