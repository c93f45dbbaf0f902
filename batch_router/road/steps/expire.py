"""A batch that has run out of the time its user gave it."""

from ...state.items import Batch
from ...state.table import State
from ..context import Running
from ..deadline import seconds_left, timed_out
from ..outcome import BatchOutcome, batch_to
from ..step import Step


def expire(running: Running, batch: Batch) -> BatchOutcome:
    """Have a running batch cancelled once its time is over; what was answered by then is kept."""
    left = seconds_left(running, batch)
    if batch.cancel or left is None:
        return batch_to(State.RUNNING, None)
    if left > 0:
        return batch_to(State.RUNNING, left)
    running.store.cancel(batch.id, timed_out(batch))
    return batch_to(State.RUNNING, None)


STEP = Step(expire)
