"""The store in memory: what concerns the jobs of an account."""

from collections.abc import Mapping, Sequence

from ..core.jobs import Job
from .memory_lists import MemoryLists
from .table import State
from .walks import KEPT_FOR, Walk


class MemoryWalks(MemoryLists):
    """See `Store`."""

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[str, float] = {}
        self._jobs: dict[str, set[str]] = {}
        self._walkers: dict[str, tuple[str, int]] = {}
        self._walks: dict[str, tuple[Walk, Mapping[str, Sequence[Job]], float]] = {}
        self._labels: dict[str, dict[str, str]] = {}

    def now(self) -> float:
        raise NotImplementedError

    def owned_jobs(self, account: str, jobs: Sequence[str]) -> set[str]:
        with self._lock:
            return self._jobs.get(account, set()).intersection(jobs)

    def wake_owners(self, account: str, jobs: Sequence[str]) -> None:
        with self._lock:
            for shard in self._shards():
                is_theirs = shard.account is not None and shard.account.name == account and shard.job is not None
                polls = shard.state is State.POLLING and shard.claimed_by is None and shard.id in self._due
                if is_theirs and polls and shard.job is not None and shard.job.id in jobs:
                    self._due[shard.id] = self.now()

    def begin_walk(self, account: str, item_id: str, fence: int) -> float | None:
        with self._lock:
            other, at = self._walkers.get(account, ("", 0))
            item = self._items.get(other)
            is_walking = item is not None and item.version == at and self._due.get(other, 0) > self.now()
            if is_walking and other != item_id:
                return None
            self._walkers[account] = item_id, fence
            return self.now()

    def end_walk(self, account: str, item_id: str, walk: Walk, found: Mapping[str, Sequence[Job]]) -> None:
        with self._lock:
            if self._walkers.get(account, ("", 0))[0] == item_id:
                del self._walkers[account]
                self._walks[account] = walk, dict(found), self.now() + KEPT_FOR

    def get_walk(self, account: str, keys: Sequence[str]) -> Walk | None:
        with self._lock:
            if account not in self._walks:
                return None
            walk, found, until = self._walks[account]
            if until <= self.now():
                return None
            return walk._replace(jobs=tuple(job for key in keys for job in found.get(key, ())))

    def note_labels(self, account: str, labels: Mapping[str, str]) -> None:
        with self._lock:
            self._labels.setdefault(account, {}).update(labels)

    def get_labels(self, account: str, jobs: Sequence[str]) -> dict[str, str]:
        with self._lock:
            known = self._labels.get(account, {})
            return {job: known[job] for job in jobs if job in known}
