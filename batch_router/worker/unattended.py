"""Queues with work that no worker listens on, as this worker sees them: batches with a webhook tell of it."""

import time
from collections.abc import Collection, Mapping

from ..road.context import Context
from ..road.notices import warn_of_unattended
from .routing import publish

#: Seconds that a queue may be without a worker: workers that are replaced are back by then.
PATIENCE = 60.0


class Unattended:
    """Since when queues have no worker.

    Args:
        patience: seconds until a batch tells of it.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._since: dict[str, float] = {}

    def look(self, context: Context, waiting: Mapping[str, Collection[str]]) -> None:
        """Look at the queues of overdue items, and at those that had no worker before.

        Args:
            context: of this worker.
            waiting: the batches of the overdue items, by queue.
        """
        for queue in {*waiting, *self._since}:
            if context.store.listeners(queue):
                self._since.pop(queue, None)
                continue
            since = self._since.setdefault(queue, time.monotonic())
            if time.monotonic() - since >= self._patience:
                for batch_id in waiting.get(queue, ()):
                    for hint in warn_of_unattended(context, batch_id, queue):
                        publish(hint)
