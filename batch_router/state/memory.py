"""The store in memory: for tests with a clock of their own, and for a router that need not outlive its process."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from .base import Commit, Committed, Hint
from .items import SCHEMA, Batch, Shard, batch_id_of, dump_fields, load_item, shard_id
from .table import State, is_final


class MemoryStore:
    """See `Store`; each method does under one lock what its namesake in `store.lua` does.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._items: dict[str, dict[str, Any]] = {}
        self._due: dict[str, float] = {}
        self._forgotten: set[str] = set()
        self._pauses: dict[str, float] = {}
        self._listeners: dict[str, dict[str, float]] = {}
        self._storage: str | None = None

    def now(self) -> float:
        return self._clock()

    def create(self, batch_id: str, facts: dict[str, Any], *, delay: float) -> bool:
        with self._lock:
            if batch_id in self._items:
                return False
            self._add(batch_id, {**facts, "state": State.QUEUED}, delay)
            return True

    def claim(self, item_id: str, version: int, *, lease: float, holder: str) -> Batch | Shard | None:
        with self._lock:
            item = self._items.get(item_id)
            if item is None:
                return None
            if item["version"] == version + 1 and item.get("claimed_by") == holder:
                return _record(item)
            if item["version"] != version or item_id not in self._due or item["schema"] > SCHEMA:
                return None
            if item.get("claimed_by"):
                item["crashes"] = item.get("crashes", 0) + 1
            item["version"] += 1
            item["claimed_by"] = holder
            if self._items[batch_id_of(item_id)].get("cancel"):
                item["cancel"] = True
            self._due[item_id] = self.now() + lease
            return _record(item)

    def renew(self, item_id: str, fence: int, *, lease: float, patch: dict[str, Any] | None = None) -> bool:
        with self._lock:
            item = self._items.get(item_id)
            if item is None or item["version"] != fence:
                return False
            item.update(patch or {})
            self._due[item_id] = self.now() + lease
            return True

    def commit(self, item_id: str, fence: int, commit: Commit, *, holder: str) -> Committed | None:
        with self._lock:
            item = self._items.get(item_id)
            if item is None or item["version"] != fence:
                repeated = item and item["version"] == fence + 1 and item.get("committed_by") == holder
                return Committed(fence + 1, []) if repeated else None
            batch = self._items[batch_id_of(item_id)]
            unseen_cancel = batch.get("cancel") and not item.get("cancel")
            item.update(commit.patch)
            item.update(state=commit.state, version=fence + 1, committed_by=holder, crashes=0, updated_at=self.now())
            item.pop("claimed_by", None)
            if commit.delay is None:
                self._due.pop(item_id, None)
            else:
                self._due[item_id] = self.now() + (0 if unseen_cancel and item is not batch else commit.delay)
            woken = [self._spawn(batch, facts, commit.grace) for facts in commit.spawn]
            if item is not batch and is_final(commit.state):
                batch["open"] -= 1
                if batch["open"] == 0:
                    batch.update(state=State.FINISHING, version=batch["version"] + 1, updated_at=self.now())
                    self._due[batch["id"]] = self.now() + commit.grace
                    woken.append(_hint(batch))
            return Committed(fence + 1, woken)

    def take_due(self, limit: int, *, grace: float) -> list[Hint]:
        with self._lock:
            now = self.now()
            overdue = sorted((at, item_id) for item_id, at in self._due.items() if at <= now)[:limit]
            taken = [item for _, item_id in overdue if (item := self._items[item_id])["schema"] <= SCHEMA]
            for item in taken:
                self._due[item["id"]] = now + grace
            return [_hint(item) for item in taken]

    def cancel(self, batch_id: str) -> bool:
        with self._lock:
            batch = self._items.get(batch_id)
            if batch is None or is_final(batch["state"]):
                return False
            batch.update(cancel=True, updated_at=self.now())
            for item_id in _family(batch):
                if item_id in self._due and not self._items[item_id].get("claimed_by"):
                    self._due[item_id] = self.now()
            return True

    def delete(self, batch_id: str) -> bool:
        with self._lock:
            batch = self._items.get(batch_id)
            if batch is None or not is_final(batch["state"]):
                return False
            for item_id in _family(batch):
                if job := self._items[item_id].get("job"):
                    self._forgotten.add(job.id)
                self._items.pop(item_id, None)
                self._due.pop(item_id, None)
            return True

    def forgotten_jobs(self) -> set[str]:
        with self._lock:
            return set(self._forgotten)

    def get_batch(self, batch_id: str) -> Batch | None:
        record = self._get(batch_id)
        return record if isinstance(record, Batch) else None

    def get_shard(self, shard_id: str) -> Shard | None:
        record = self._get(shard_id)
        return record if isinstance(record, Shard) else None

    def get_shards(self, batch: Batch) -> list[Shard]:
        with self._lock:
            records = [_record(self._items[shard_id(batch.id, n)]) for n in range(batch.shards)]
            return [record for record in records if isinstance(record, Shard)]

    def list_batches(self, limit: int) -> list[Batch]:
        with self._lock:
            batches = [self.get_batch(item_id) for item_id in reversed(self._items)]
            return [batch for batch in batches if batch][:limit]

    def pause(self, account: str, seconds: float) -> None:
        with self._lock:
            self._pauses[account] = max(self._pauses.get(account, 0), self.now() + seconds)

    def paused(self, account: str) -> float:
        with self._lock:
            return max(0, self._pauses.get(account, 0) - self.now())

    def announce(self, worker: str, queues: Sequence[str], *, ttl: float) -> None:
        with self._lock:
            for queue in queues:
                self._listeners.setdefault(queue, {})[worker] = self.now() + ttl

    def listeners(self, queue: str) -> list[str]:
        with self._lock:
            return [name for name, until in self._listeners.get(queue, {}).items() if until > self.now()]

    def bind_storage(self, root: str) -> str:
        self._storage = self._storage or root
        return self._storage

    def close(self) -> None:
        """Nothing is open."""

    def _get(self, item_id: str) -> Batch | Shard | None:
        with self._lock:
            item = self._items.get(item_id)
            return _record(item) if item else None

    def _add(self, item_id: str, facts: dict[str, Any], delay: float) -> None:
        now = self.now()
        defaults = {"schema": SCHEMA, "version": 1, "created_at": now, "updated_at": now}
        self._items[item_id] = {**defaults, **facts, "id": item_id}
        self._due[item_id] = now + delay

    def _spawn(self, batch: dict[str, Any], facts: dict[str, Any], grace: float) -> Hint:
        child = shard_id(batch["id"], batch.get("shards", 0))
        self._add(child, {**facts, "batch": batch["id"], "state": State.UPLOADING}, grace)
        batch["open"] = batch.get("open", 0) + 1
        batch["shards"] = batch.get("shards", 0) + 1
        return _hint(self._items[child])


def _family(batch: dict[str, Any]) -> list[str]:
    return [batch["id"], *(shard_id(batch["id"], number) for number in range(batch.get("shards", 0)))]


def _record(item: dict[str, Any]) -> Batch | Shard:
    # Through the same bytes as in Redis, so that nothing is shared and nothing passes that Redis could not hold.
    return load_item(dump_fields(item))


def _hint(item: dict[str, Any]) -> Hint:
    return Hint(item["id"], item["version"], State(item["state"]), item["provider"], item.get("queue"))
