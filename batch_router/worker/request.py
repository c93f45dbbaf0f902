"""A message that a worker has taken, as Celery shows it to operators."""

from typing import Any

from celery.worker import request


class Request(request.Request):
    """Shown without its arguments: a batch that another app submits brings its rows."""

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 - it always is
        """What `celery inspect` and Flower show of it."""
        shown: dict[str, Any] = super().info(safe=True)
        return shown
