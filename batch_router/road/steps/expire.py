"""A batch that has run out of the time its user gave it."""

from ...state.items import Batch
from ...state.table import State
from ..context import Context, Outcome
from ..deadline import seconds_left, timed_out


def expire(context: Context, batch: Batch) -> Outcome:
    """Have a running batch cancelled once its time is over; what was answered by then is kept."""
    left = seconds_left(context, batch)
    if batch.cancel or left is None:
        return Outcome(State.RUNNING, delay=None)
    if left > 0:
        return Outcome(State.RUNNING, delay=left)
    # The reason first: who finds the flag alone after a crash takes the cancel for the user's.
    context.lease.renew(failure=timed_out(batch))
    context.store.cancel(batch.id)
    return Outcome(State.RUNNING, delay=None)
