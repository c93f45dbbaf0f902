"""The time that a user gave a batch."""

from ..core.jobs import Failure
from ..exceptions import BatchExpiredError
from ..state.items import Batch
from .context import Context


def seconds_left(context: Context, batch: Batch) -> float | None:
    """Until the batch's time-out; None if it has none."""
    return None if batch.timeout is None else batch.created_at + batch.timeout - context.store.now()


def timed_out(batch: Batch) -> Failure:
    """What `status` says of such a batch."""
    return Failure(type=BatchExpiredError.type, message=f"not finished {batch.timeout:g} s after it was submitted")
