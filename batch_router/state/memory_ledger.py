"""The store in memory: the ledger, added up from the shards whenever it is asked for."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from .facts import ShardFacts
from .items import AnyItem, Shard
from .ledger import JOBS, SPENT, Line, Reservation, adds_up
from .memory_lists import Kind
from .memory_walks import MemoryWalks


class MemoryLedger(MemoryWalks):
    """See `Store`."""

    def __init__(self) -> None:
        super().__init__()
        self._limits: dict[str, int] = {}
        self._waiting: dict[str, list[str]] = {}
        self._woken: set[str] = set()
        self._gone: Counter[str] = Counter()

    def reserve(
        self, item_id: str, fence: int, *, holder: str, lease: float, limits: Mapping[str, int], facts: ShardFacts
    ) -> Reservation:
        with self._lock:
            item = self._items.get(item_id)
            if not isinstance(item, Shard) or (item.version, item.claimed_by) != (fence, holder):
                return Reservation(is_held=False)
            line = self._short_of(item, facts.get("booked", {}), {**limits, **self._limits})
            if line is not None:
                self._wait(item, line)
                return Reservation(is_held=True, short_of=line)
            self._leave(item)
            self._change(self._items[item_id], **facts)
            self._due[item_id] = self.now() + lease
            return Reservation(is_held=True)

    def set_limit(self, line: str, limit: int | None) -> None:
        with self._lock:
            if limit is None:
                self._limits.pop(line, None)
            else:
                self._limits[line] = limit
            self._wake(line)

    def get_limits(self) -> dict[str, int]:
        with self._lock:
            return dict(self._limits)

    def get_lines(self, names: Sequence[str]) -> list[Line]:
        with self._lock:
            sums = self._sums()
            return [Line(name, sums[name], self._limits.get(name), len(self._waiting.get(name, ()))) for name in names]

    def _sums(self) -> Counter[str]:
        sums = Counter(self._gone)
        for shard in self._shards():
            sums.update(shard.booked)
        return sums

    def _short_of(self, shard: Shard, wanted: Mapping[str, int], limits: Mapping[str, int]) -> str | None:
        sums = self._sums()
        for line, amount in sorted(wanted.items()):
            more = amount - shard.booked.get(line, 0)
            if line in limits and more > 0:
                waiting = [each for each in self._waiting.get(line, ()) if each in self._due]
                is_first = not waiting or waiting[0] == shard.id
                if sums[line] + more > limits[line] or not is_first:
                    return line
        return None

    def _wait(self, shard: Shard, line: str) -> None:
        if shard.waits_for != line:
            self._leave(shard)
            self._waiting.setdefault(line, []).append(shard.id)
            self._change(self._items[shard.id], waits_for=line)
        self._woken.discard(shard.id)

    def _leave(self, item: AnyItem) -> None:
        if not isinstance(item, Shard) or item.waits_for is None:
            return
        self._change(item, waits_for=None)
        self._waiting[item.waits_for].remove(item.id)
        self._woken.discard(item.id)
        self._wake(item.waits_for)

    def _wake(self, line: str) -> None:
        for first in self._waiting.get(line, ())[:1]:
            if self._items[first].claimed_by is not None:
                self._woken.add(first)
            elif first in self._due:
                self._due[first] = self.now()

    def _release(self, item: AnyItem, *, is_made_again: bool = False) -> None:
        """A shard that has ended, or goes, takes no room any more."""
        if isinstance(item, Shard):
            kept = {line: amount for line, amount in item.booked.items() if adds_up(line) and not is_made_again}
            self._change(item, booked=kept)

    def _outlive(self, item: AnyItem) -> None:
        """What a shard has spent stays spent when it is gone."""
        if isinstance(item, Shard):
            self._gone.update({line: amount for line, amount in item.booked.items() if adds_up(line)})

    def _forget_lines(self, batch_id: str) -> None:
        for line in (f"{SPENT}batch={batch_id}", f"{JOBS}batch={batch_id}"):
            self._limits.pop(line, None)
            self._gone.pop(line, None)

    def _change(self, item: Kind, **facts: object) -> Kind:
        changed = self._items[item.id] = msgspec.structs.replace(item, **facts)
        if isinstance(item, Shard) and isinstance(changed, Shard) and item.booked != changed.booked:
            for line, amount in item.booked.items():
                if changed.booked.get(line, 0) < amount:
                    self._wake(line)
        return changed
