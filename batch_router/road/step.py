"""What a step is: a function over one item, and what the kernel needs to know about it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.jobs import Failure
from ..state.facts import ShardFacts
from ..state.items import Shard
from .context import Running
from .outcome import Outcome, ShardOutcome


class Step(NamedTuple):
    """A step of the road; its row in `state.table` says when it runs, and where.

    Attributes:
        run: over a batch or a shard. It talks to one provider or to storage and says what happened; what it raises
            ends in a state that `status` shows.
        calls_provider: whether it waits while the provider has asked this account for a pause.
        undo: takes back what `run` did at the provider (its facts say what), when its commit came too late: another
            worker has the item.
        give_up: where a shard goes whose step failed for good; None, or what returns None: where the table says.
    """

    run: Callable[[Running, Any], Outcome]
    calls_provider: bool = False
    undo: Callable[[Running, Shard, ShardFacts], None] | None = None
    give_up: Callable[[Running, Shard, Failure], ShardOutcome | None] | None = None
