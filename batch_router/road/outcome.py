"""What a step says happened. It changes nothing itself: the kernel commits it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self, Unpack, cast

from ..state.base import NO_TALLY
from ..state.census import Total
from ..state.facts import BatchFacts, Facts, ItemFacts, NoticeFacts, ShardFacts
from ..state.items import Notice, Shard
from ..state.table import State


class Outcome(NamedTuple):
    """The end of a step, made by `batch_to`, `shard_to` or `notice_to`.

    Attributes:
        state: where the item stands now.
        delay: seconds until the next look; 0: hand it on at once; None: another item's commit wakes it.
        facts: what to remember.
        spawn: shards to make.
        forget: whether the batch's shards and notices are deleted.
        notices: to make.
        tally: what it adds to the totals of the store.
    """

    state: State
    delay: float | None
    facts: Facts
    spawn: Sequence[Shard] = ()
    forget: bool = False
    notices: Sequence[Notice] = ()
    tally: Mapping[Total, float] = NO_TALLY

    def over(self, facts: ItemFacts) -> Self:
        """The outcome, with these facts where it says nothing of them."""
        return self._replace(facts=cast(Facts, {**facts, **self.facts}))


class BatchOutcome(Outcome):
    """The end of a batch's step."""

    __slots__ = ()


class ShardOutcome(Outcome):
    """The end of a shard's step."""

    __slots__ = ()


class NoticeOutcome(Outcome):
    """The end of a notice's step."""

    __slots__ = ()


def batch_to(
    state: State,
    delay: float | None = 0,
    *,
    spawn: Sequence[Shard] = (),
    forget: bool = False,
    notices: Sequence[Notice] = (),
    **facts: Unpack[BatchFacts],
) -> BatchOutcome:
    """A batch goes to a state; see `Outcome`."""
    return BatchOutcome(state, delay, facts, spawn, forget, notices)


def shard_to(
    state: State, delay: float | None = 0, *, spawn: Sequence[Shard] = (), **facts: Unpack[ShardFacts]
) -> ShardOutcome:
    """A shard goes to a state; see `Outcome`."""
    return ShardOutcome(state, delay, facts, spawn)


def notice_to(state: State, **facts: Unpack[NoticeFacts]) -> NoticeOutcome:
    """A notice ends in a state."""
    return NoticeOutcome(state, None, facts)
