"""What a user's app is told of: tasks at the end of a batch, and events for its webhook."""

import msgspec

from ..core.jobs import Failure


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A task of the user's app that is sent when his batch has ended; its message lies in the submission.

    Attributes:
        task: its name, for people.
        on_error: whether it is sent where the batch did not succeed, and not where it did.
    """

    task: str
    on_error: bool = False


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook tells of; its URL lies in the submission.

    Attributes:
        key: names it among all events, also where the store forgets it and it happens again.
        type: `batch.completed`, `batch.failed`, `batch.expired`, `batch.cancelled`, `batch.waiting`, `shard.parked`,
            `queue.unattended`.
        shard: the id of the shard that is parked.
        queue: the queue that no worker listens on.
        budget: the scope of the budget that has no room, as `batch-router budget` names it.
        cause: why the shard is parked, or waits.
    """

    key: str
    type: str
    shard: str | None = None
    queue: str | None = None
    budget: str | None = None
    cause: Failure | None = None
