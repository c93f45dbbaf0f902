"""The fleet's app with every effect told: `celery -A tests.drills.worker worker`; otherwise `batch_router.worker`."""

from functools import partial

from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.worker import process, sweep
from batch_router.worker.unattended import Unattended

from .trace import open_traced_context


def _open_context(settings: Settings) -> Context:
    """The context, traced; `process` puts its own `deliver` into it."""
    context = open_traced_context(settings)
    process.deliver = context.deliver  # type: ignore[assignment,attr-defined]
    return context


# Before the first context is opened, in this process or a forked child.
process.open_context = _open_context  # type: ignore[assignment,attr-defined]

# A queue without a worker is told of soon.
sweep.Unattended = partial(Unattended, patience=2)  # type: ignore[assignment,attr-defined]

from batch_router.worker import app  # noqa: E402

__all__ = ["app"]
