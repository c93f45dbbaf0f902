"""Which notices the end of a batch makes."""

from collections.abc import Sequence

from ..state.items import Batch, Notice
from ..state.table import State


def notices_of(batch: Batch) -> Sequence[Notice]:
    """The notices of a batch that has ended: tasks for its success, or those for any other end."""
    return [
        Notice(
            state=State.NOTIFYING,
            provider=batch.provider,
            queue=batch.queue,
            batch=batch.id,
            callback=place,
            task=callback.task,
        )
        for place, callback in enumerate(batch.callbacks)
        if callback.on_error is not batch.succeeded
    ]
