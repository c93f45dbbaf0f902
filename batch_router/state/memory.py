"""The store in memory: for tests with their own clock, and for a router whose state need not outlive its process."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from ..core.jobs import Failure
from .base import Binding, Commit, Committed, Hint, Quarantined, Reopened
from .census import Total
from .checks import TRIES
from .facts import Facts
from .items import SCHEMA, AnyItem, Batch, Notice, Shard, Spawned, batch_id_of, notice_id, shard_id
from .memory_census import MemoryCensus
from .memory_lists import Kind, copy
from .table import State

# As in `store.lua`.
_MOST_DOUBLINGS = 12


class MemoryStore(MemoryCensus):
    """See `Store`; each method does under one lock what its namesake in `store.lua` does.

    Args:
        clock: seconds since 1970.

    Attributes:
        epoch: a time in which it forgets nothing; a test that takes back what it holds changes it.
    """

    epoch = "memory"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._clock = clock
        self._committed_by: dict[str, str] = {}
        self._counting: set[str] = set()
        self._held: dict[str, tuple[int, int]] = {}
        self._unread: Counter[str] = Counter()
        self._unfetched: dict[str, set[str]] = {}
        self._pauses: dict[str, float] = {}
        self._name = secrets.token_hex(8)
        self._epochs: dict[str, float] = {}
        self._listeners: dict[str, dict[str, float]] = {}
        self._storage: Binding | None = None

    def now(self) -> float:
        return self._clock()

    def name(self) -> str:
        return self._name

    def create(self, batch: Batch, *, delay: float | None) -> bool:
        with self._lock:
            if batch.id in self._items:
                return False
            for left in [each for each in self._items if batch.created_at and batch_id_of(each) == batch.id]:
                self._forget(left, is_made_again=True)  # its record was lost, and it is cut again
            self._add(batch, delay)
            return True

    def claim(self, item_id: str, version: int, *, lease: float, holder: str) -> AnyItem | None:
        with self._lock:
            item = self._items.get(item_id)
            if item is None:
                return None
            if item.version == version + 1 and item.claimed_by == holder:
                return copy(item)
            if item.version != version or item_id not in self._due or item.schema != SCHEMA:
                return None
            self._due[item_id] = self.now() + lease
            if item.claimed_by is not None:
                self._totals[Total("recoveries", item.provider, item.state)] += 1
            is_doubted = item.epoch != self.epoch
            return copy(
                self._change(
                    item,
                    version=version + 1,
                    claimed_by=holder,
                    crashes=item.crashes + (item.claimed_by is not None),
                    doubt_since=self._met() if is_doubted else item.doubt_since,
                    last_doubt=self._met() if is_doubted else item.last_doubt,
                    epoch=self.epoch,
                    cancel=item.cancel or self._items[batch_id_of(item_id)].cancel,
                )
            )

    def _met(self) -> float:
        """When the epoch was first met."""
        return self._epochs.setdefault(self.epoch, self.now())

    def renew(self, item_id: str, fence: int, *, holder: str, lease: float, facts: Facts) -> bool:
        with self._lock:
            item = self._items.get(item_id)
            if item is None or (item.version, item.claimed_by) != (fence, holder):
                return False
            self._change(item, **facts)
            self._due[item_id] = self.now() + lease
            return True

    def let_go(self, item_id: str, *, holder: str) -> None:
        with self._lock:
            item = self._items.get(item_id)
            if item is not None and item.claimed_by == holder:
                self._change(item, claimed_by=None)
                self._due[item_id] = self.now()
            elif item is not None:
                self._change(item, crashes=max(0, item.crashes - 1))

    def commit(self, item_id: str, fence: int, commit: Commit, *, holder: str) -> Committed | None:
        with self._lock:
            item = self._items.get(item_id)
            is_held = item is not None and (item.version, item.claimed_by) == (fence, holder)
            return self._commit(item_id, fence, commit, holder, is_ours=is_held)

    def decide(self, item: AnyItem, commit: Commit, *, holder: str) -> Committed | None:
        with self._lock:
            return self._commit(item.id, item.version, commit, holder, is_ours=self._rests(item))

    def reopen(self, batch: Batch, commit: Commit, shards: Sequence[Reopened]) -> list[Hint] | None:
        with self._lock:
            if not (self._rests(batch) and all(self._rests(each.shard) for each in shards)):
                return None
            if commit.forget:
                self._forget_shards(batch.id, free_jobs=True)
                self._change(self._items[batch.id], doubt_since=self.now(), last_doubt=self.now())
            self._go_on_in(batch.id, commit.state, commit.facts, commit.delay)
            for each in shards:
                self._go_on_in(each.shard.id, each.state, each.facts, commit.grace)
            self._change(self._items[batch.id], open=sum(each.shard.id in self._counting for each in shards))
            return [self._hint(self._items[each]) for each in (batch.id, *(each.shard.id for each in shards))]

    def _rests(self, seen: AnyItem) -> bool:
        item = self._items.get(seen.id)
        if item is None or item.claimed_by is not None:
            return False
        return (item.version, item.created_at) == (seen.version, seen.created_at)

    def _go_on_in(self, item_id: str, state: State, facts: Facts, delay: float | None) -> None:
        item = self._items[item_id]
        self._change(item, **facts, state=state, crashes=0, version=item.version + 1, updated_at=self.now())
        self._set_due(item, delay)

    def _commit(self, item_id: str, fence: int, commit: Commit, holder: str, *, is_ours: bool) -> Committed | None:
        with self._lock:
            item = self._items.get(item_id)
            if item is None or not is_ours or batch_id_of(item_id) not in self._items:
                repeated = item and item.version == fence + 1 and self._committed_by.get(item_id) == holder
                return Committed(fence + 1, []) if repeated else None
            unseen_cancel = self._items[batch_id_of(item_id)].cancel and not item.cancel
            at_once = unseen_cancel or item_id in self._woken
            self._set_due(item, 0 if at_once and commit.delay is not None else commit.delay)
            if item.state is not commit.state:
                self._leave(item)
                item = self._items[item_id]
            self._committed_by[item_id] = holder
            for total, amount in commit.tally.items():
                self._totals[total] += amount
            after = self._change(
                item,
                **commit.facts,
                state=commit.state,
                version=fence + 1,
                crashes=0,
                claimed_by=None,
                epoch=self.epoch,
                updated_at=self.now(),
            )
            if isinstance(after, Shard):
                self._note_job(after)
                if commit.delay is None:
                    self._release(after)
            if commit.forget:
                self._forget_shards(item_id)
            woken = [self._spawn(batch_id_of(item_id), each, commit.grace) for each in commit.spawn]
            if item_id in self._counting and commit.state.is_final:
                woken += self._close_one(batch_id_of(item_id), commit.grace)
            return Committed(fence + 1, woken)

    def take_due(self, limit: int, *, grace: float) -> list[Hint]:
        with self._lock:
            now = self.now()
            overdue = sorted((at, item_id) for item_id, at in self._due.items() if at <= now)
            ours = (item for _, item_id in overdue if (item := self._items[item_id]).schema == SCHEMA)
            taken = [self._hint(item) for item in islice(ours, limit)]
            for hint in taken:
                self._due[hint.id] = now + grace * 2 ** min(hint.held_back, _MOST_DOUBLINGS)
            return taken

    def restore_times(self, *, every: float) -> list[str]:  # noqa: ARG002
        return []  # what a process remembers it does not lose in part

    def hold_back(self, hints: Sequence[Hint]) -> None:
        with self._lock:
            for hint in hints:
                item = self._items.get(hint.id)
                if item is not None and item.version == hint.version:
                    self._held[item.id] = (item.version, self._hint(item).held_back + 1)

    def suspect(self, item_id: str, reason: str) -> bool:
        with self._lock:
            self._unread[item_id] += 1
            if self._unread[item_id] < TRIES:
                return False
            self._due.pop(item_id, None)
            del self._unread[item_id]
            self._quarantine[item_id] = Quarantined(item_id, self.now(), reason)
            return True

    def quarantined(self, limit: int) -> list[Quarantined]:
        with self._lock:
            return list(islice(reversed(self._quarantine.values()), limit))

    def quarantined_of(self, batch: Batch) -> list[Quarantined]:
        with self._lock:
            return [found for item_id, found in self._quarantine.items() if batch_id_of(item_id) == batch.id]

    def release(self, item_id: str) -> list[str]:
        with self._lock:
            batch = self._find(item_id, Batch)
            family = [item_id] if batch is None else [item.id for item in self._family(batch)]
            released = [each for each in family if self._forget_trouble(each)]
            for each in released:
                if each in self._items and not self._items[each].state.is_final:
                    self._due[each] = self.now()
            return released

    def cancel(self, batch_id: str, reason: Failure | None = None) -> bool:
        with self._lock:
            batch = self._find(batch_id, Batch)
            if batch is None or batch.state.is_final:
                return False
            failure = batch.failure if batch.cancel or reason is None else reason
            batch = self._change(batch, cancel=True, failure=failure, updated_at=self.now())
            for item in self._family(batch):
                if item.id in self._due and not item.claimed_by:
                    self._due[item.id] = self.now()
            return True

    def delete(self, batch: Batch) -> bool:
        with self._lock:
            known = self._find(batch.id, Batch)
            if known is None or not known.state.is_final or known.created_at != batch.created_at:
                return False
            for item in self._family(known):
                self._forget(item.id)
            self._forget_lines(batch.id)
            return True

    def unfetched_jobs_of(self, account: str) -> set[str]:
        with self._lock:
            return set(self._unfetched.get(account, ()))

    def unknown(self, batch_ids: Sequence[str]) -> list[str]:
        with self._lock:
            return [batch_id for batch_id in batch_ids if batch_id not in self._items]

    def get_batch(self, batch_id: str) -> Batch | None:
        with self._lock:
            return self._find(batch_id, Batch)

    def get_shard(self, shard_id: str) -> Shard | None:
        with self._lock:
            return self._find(shard_id, Shard)

    def get_shards(self, batch: Batch) -> list[Shard]:
        with self._lock:
            return [shard for number in range(batch.shards) if (shard := self._find(shard_id(batch.id, number), Shard))]

    def get_notices(self, batch: Batch) -> list[Notice]:
        with self._lock:
            numbers = range(batch.notices)
            return [notice for number in numbers if (notice := self._find(notice_id(batch.id, number), Notice))]

    def foreign_items(self, limit: int) -> list[str]:
        with self._lock:
            return [item_id for item_id in self._due if self._items[item_id].schema != SCHEMA][:limit]

    def pause(self, account: str, seconds: float) -> None:
        with self._lock:
            self._pauses[account] = max(self._pauses.get(account, 0), self.now() + seconds)

    def paused(self, account: str) -> float:
        with self._lock:
            return max(0, self._pauses.get(account, 0) - self.now())

    def announce(self, worker: str, queues: Sequence[str], *, ttl: float) -> str:
        with self._lock:
            self._met()
            for queue in queues:
                self._listeners.setdefault(queue, {})[worker] = self.now() + ttl
            return self.epoch

    def listeners(self, queue: str) -> list[str]:
        with self._lock:
            return [name for name, until in self._listeners.get(queue, {}).items() if until > self.now()]

    def bind_storage(self, binding: Binding, *, again: bool = False) -> Binding:
        self._storage = binding if again else self._storage or binding
        return self._storage

    def bound_storage(self) -> Binding | None:
        return self._storage

    def close(self) -> None:
        """Nothing is open."""

    def _find(self, item_id: str, kind: type[Kind]) -> Kind | None:
        item = self._items.get(item_id)
        return copy(item) if isinstance(item, kind) else None

    def _forget_shards(self, batch_id: str, *, free_jobs: bool = False) -> None:
        batch = self._items[batch_id]
        assert isinstance(batch, Batch)
        for item in self._family(batch)[1:]:
            if free_jobs and isinstance(item, Shard) and item.job is not None and item.account is not None:
                self._jobs.get(item.account.name, set()).discard(item.job.id)
            self._forget(item.id, is_made_again=free_jobs)
        self._change(batch, shards=0, open=0, notices=0)

    def _forget(self, item_id: str, *, is_made_again: bool = False) -> None:
        self._leave(self._items[item_id])
        self._release(self._items[item_id], is_made_again=is_made_again)
        self._outlive(self._items[item_id])
        del self._items[item_id]
        self._due.pop(item_id, None)
        self._committed_by.pop(item_id, None)
        self._held.pop(item_id, None)
        self._forget_trouble(item_id)
        self._counting.discard(item_id)

    def _forget_trouble(self, item_id: str) -> bool:
        """Whether the item was in the quarantine."""
        self._unread.pop(item_id, None)
        return self._quarantine.pop(item_id, None) is not None

    def _hint(self, item: AnyItem) -> Hint:
        version, held = self._held.get(item.id, (0, 0))
        held_back = held if version == item.version else 0
        return Hint(item.id, item.version, item.state, item.provider, item.queue, self._is_urgent(item), held_back)

    def _is_urgent(self, item: AnyItem) -> bool:
        if item.cancel or self._items[batch_id_of(item.id)].cancel or item.state is State.RUNNING:
            return True
        timeout = item.timeout if isinstance(item, Batch) else None
        return timeout is not None and item.created_at + timeout <= self.now()

    def _set_due(self, item: AnyItem, delay: float | None) -> None:
        if delay is None:
            self._due.pop(item.id, None)
        else:
            self._due[item.id] = self.now() + delay

    def _add(self, item: AnyItem, delay: float | None) -> None:
        now = self.now()
        born = item.created_at or now
        added = msgspec.structs.replace(item, version=1, created_at=born, updated_at=now, epoch=self.epoch)
        self._items[item.id] = added
        self._set_due(added, delay)

    def _spawn(self, batch_id: str, spawned: Spawned, grace: float) -> Hint:
        batch = self._items[batch_id]
        assert isinstance(batch, Batch)
        if isinstance(spawned, Notice):
            child: Spawned = msgspec.structs.replace(spawned, id=notice_id(batch_id, batch.notices))
            self._change(batch, notices=batch.notices + 1)
        else:
            child = msgspec.structs.replace(spawned, id=shard_id(batch_id, batch.shards))
            self._change(batch, shards=batch.shards + 1, open=batch.open + spawned.counts_as_open)
        if spawned.counts_as_open:
            self._counting.add(child.id)
        self._add(child, grace)
        return self._hint(self._items[child.id])

    def _note_job(self, shard: Shard) -> None:
        if shard.job is None or shard.account is None:
            return
        account, job_id = shard.account.name, shard.job.id
        self._jobs.setdefault(account, set()).add(job_id)
        unfetched = self._unfetched.setdefault(account, set())
        (unfetched.add if shard.unfetched else unfetched.discard)(job_id)

    def _close_one(self, batch_id: str, grace: float) -> list[Hint]:
        """A shard less is open; the last one wakes its batch."""
        batch = self._items[batch_id]
        assert isinstance(batch, Batch)
        batch = self._change(batch, open=batch.open - 1)
        if batch.open != 0:
            return []
        self._due[batch_id] = self.now() + grace
        woken = self._change(batch, state=State.FINISHING, version=batch.version + 1, updated_at=self.now())
        return [self._hint(woken)]
