"""The fleet's Celery app with every effect told: `celery -A tests.drills.worker worker`, as `workers.app` otherwise."""

from workers import process

from .trace import open_traced_context

process.open_context = open_traced_context  # before the first context is opened, in this process or a forked child

from workers.app import app  # noqa: E402

__all__ = ["app"]
