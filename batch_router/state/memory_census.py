"""The numbers of the store in memory; see `redis_census.py`."""

from collections import Counter, defaultdict

from .base import Quarantined
from .census import FIRST, Census, Standing, Total
from .items import AnyItem
from .memory_ledger import MemoryLedger


class MemoryCensus(MemoryLedger):
    """See `Store`."""

    def __init__(self) -> None:
        super().__init__()
        self._quarantine: dict[str, Quarantined] = {}
        self._totals: defaultdict[Total, float] = defaultdict(float)

    def census(self) -> Census:
        with self._lock:
            overdue = sorted((at, item_id) for item_id, at in self._due.items() if at <= self.now())
            return Census(
                items=Counter(map(_standing, self._items.values())),
                batches=self._listed(),
                totals=dict(self._totals),
                overdue=len(overdue),
                oldest_overdue=self.now() - overdue[0][0] if overdue else 0,
                first_overdue=Counter(_standing(self._items[item_id]) for _, item_id in overdue[:FIRST]),
                quarantined=len(self._quarantine),
            )


def _standing(item: AnyItem) -> Standing:
    return Standing(type(item).__name__.lower(), item.provider, item.queue, item.state)
