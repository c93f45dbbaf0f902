"""The queues of a fleet.

On the server each name begins with the fleet's prefix: the queue `io` is the list `batch_router.io`. kombu adds it to
every key (`global_keyprefix`), so another app may send a task of ours with `queue="batch_router.io"`.
"""

from typing import Any

import click
from celery.app import amqp

from ..providers import find_provider, provider_names

#: `io` talks to providers, `cpu` converts and normalizes, `poll` looks at jobs.
DEFAULT_QUEUES = ("io", "cpu", "poll")
#: Those whose steps call a service.
CALLING_QUEUES = ("io", "poll")


def is_queue(name: str) -> bool:
    """Whether a fleet may have a queue of that name, whatever the settings of this process."""
    return name in DEFAULT_QUEUES or any(_owns(each, name) for each in provider_names())


def _owns(provider: str, queue: str) -> bool:
    try:
        return find_provider(provider).owns_queue(queue)
    except Exception:  # a package that cannot be imported has no queue, and no message ends a worker because of it
        return False


class Queues(amqp.Queues):
    """The queues that there are: Celery would make a new one of every misspelt name."""

    def __missing__(self, name: str) -> Any:
        if is_queue(name):
            return self.add(self.new_missing(name))
        raise KeyError(name)

    def select(self, include: Any) -> None:
        """Consume from these queues alone: `-Q`."""
        try:
            super().select(include)
        except KeyError as error:
            known = ", ".join(sorted({*self, "gpu"}))
            sentence = f"batch_router has no queue {error}; it has {known}, and gpu.<name> for GPUs by model"
            raise click.UsageError(sentence) from None
