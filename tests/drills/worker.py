"""The fleet's app with every effect told: `celery -A tests.drills.worker worker`; otherwise `batch_router.worker`."""

from batch_router.worker import process

from .trace import open_traced_context

# Before the first context is opened, in this process or a forked child.
process.open_context = open_traced_context  # type: ignore[assignment,attr-defined]

from batch_router.worker import app  # noqa: E402

__all__ = ["app"]
