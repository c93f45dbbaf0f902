"""`celery -A workers.app worker`."""

from batch_router.worker import app

__all__ = ["app"]
