"""When the time of a batch is over: that which its user gave it, and that for which it is kept."""

from ..core.jobs import Failure
from ..exceptions import BatchExpiredError
from ..settings import Settings
from ..state.items import Batch
from .context import Context


def seconds_left(context: Context, batch: Batch) -> float | None:
    """Until the batch's time-out, 0 when it is over; None if it has none."""
    return None if batch.timeout is None else max(0.0, batch.created_at + batch.timeout - context.store.now())


def kept_for(settings: Settings, age: float = 0) -> float | None:
    """Seconds until something is let go of that is kept of a batch; None: nothing is left to let go of.

    Args:
        settings: of the worker.
        age: seconds since the batch ended.
    """
    limits = (settings.keep_shards, settings.keep_payloads)
    return min((limit - age for limit in limits if limit is not None and limit > age), default=None)


def timed_out(batch: Batch) -> Failure:
    """What `status` says of such a batch."""
    return Failure(type=BatchExpiredError.type, message=f"not finished {batch.timeout:g} s after it was submitted")
