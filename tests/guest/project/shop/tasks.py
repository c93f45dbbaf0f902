"""The project's tasks. Each notes where it ran, in a list of its own."""

import os

import redis
from celery import current_app, shared_task

from batch_router.worker import submit_batch

__all__ = ["note", "notes", "submit_batch", "told"]


def notes() -> "redis.Redis":
    """Where the project notes what happened, in the list `shop:ran`."""
    return redis.Redis.from_url(os.environ["SHOP_REDIS_URL"])


@shared_task(bind=True)
def note(self, what: str) -> None:
    """Note that this ran."""
    line = f"{what} {self.request.hostname} {self.app.main} {current_app.main}"
    notes().rpush("shop:ran", line)


@shared_task
def told(manifest: dict, what: str) -> None:
    """Note how a batch ended."""
    line = f"{what} {manifest['status']}"
    notes().rpush("shop:ran", line)
