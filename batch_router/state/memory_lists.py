"""What the store in memory has, by provider, status, end, account and label; see `lists.lua`."""

import math
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TypeVar, cast

from ..core import BatchStatus
from .base import ALL, Which
from .checks import load_item
from .items import SCHEMA, AnyItem, Batch, Shard, dump_item, notice_id, shard_id
from .table import State

Kind = TypeVar("Kind", bound=AnyItem)


class MemoryLists:
    """The items, and how they are found."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: dict[str, AnyItem] = {}

    def iter_batches(self, which: Which = ALL) -> Iterator[Batch]:
        with self._lock:
            batches = [batch for batch in self._batches() if self._is_meant(batch, which)]
        return (copy(batch) for batch in batches)

    def iter_ended(self, before: float) -> Iterator[Batch]:
        with self._lock:
            ended = [batch for batch in self._batches() if batch.state.is_final and _end_of(batch) < before]
        return (copy(batch) for batch in sorted(ended, key=_end_of))

    def accounts(self) -> set[tuple[str, str | None]]:
        with self._lock:
            return {(batch.provider, batch.credential) for batch in self._batches()}

    def undecided(self, labels: Collection[str]) -> set[str]:
        with self._lock:
            open_ones = (shard for shard in self._shards() if shard.job is None and not shard.state.is_final)
            return {shard.label for shard in open_ones}.intersection(labels)

    def has_company(self, item_id: str, account: str, model: str) -> bool:
        with self._lock:
            others = (shard for shard in self._shards() if shard.id != item_id and shard.model == model)
            return any(
                shard.account is not None and shard.account.name == account and _may_run(shard) for shard in others
            )

    def _listed(self) -> dict[tuple[str, str], int]:
        return dict(Counter((batch.provider, _listed(batch).value) for batch in self._batches()))

    def _family(self, batch: Batch) -> list[AnyItem]:
        shards = (shard_id(batch.id, number) for number in range(batch.shards))
        notices = (notice_id(batch.id, number) for number in range(batch.notices))
        return [self._items[each] for each in (batch.id, *shards, *notices)]

    def _batches(self) -> Iterator[Batch]:
        """The newest first."""
        batches = (item for item in self._items.values() if isinstance(item, Batch) and item.schema == SCHEMA)
        return iter(sorted(batches, key=lambda batch: _place(batch.created_at, batch.id), reverse=True))

    def _shards(self) -> Iterator[Shard]:
        return (item for item in self._items.values() if isinstance(item, Shard))

    def _is_meant(self, batch: Batch, which: Which) -> bool:
        if which.status is BatchStatus.PARKED:
            in_status = any(item.state is State.PARKED for item in self._family(batch))
        else:
            in_status = which.status in (None, _listed(batch))
        place = _place(batch.created_at, batch.id)
        in_time = place >= _place(which.since, "") and (which.before is None or place < _place(*which.before))
        return in_status and in_time and which.provider in (None, batch.provider) and batch.id.startswith(which.prefix)


def copy(item: Kind) -> Kind:
    """Through the same bytes as in Redis, so that nothing is shared and nothing passes that Redis could not hold."""
    return cast(Kind, load_item(item.id, dump_item(item)))


def _place(created_at: float, batch_id: str) -> tuple[int, str]:
    return math.floor(created_at * 1000), batch_id


def _listed(batch: Batch) -> BatchStatus:
    """The status that the batch is listed under."""
    if batch.state.is_final:
        return BatchStatus(batch.state.value)
    if batch.cancel:
        return BatchStatus.CANCELLING
    return BatchStatus.QUEUED if batch.state is State.QUEUED else BatchStatus.IN_PROGRESS


def _end_of(batch: Batch) -> float:
    return batch.ended_at or batch.updated_at


def _may_run(shard: Shard) -> bool:
    return shard.state is State.POLLING or (shard.state is State.CREATING and shard.intent is not None)
