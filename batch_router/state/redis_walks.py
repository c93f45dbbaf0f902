"""The store on Redis: what concerns the jobs of an account."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import msgspec

from ..core.jobs import Job
from .redis_border import translated
from .walks import KEPT_FOR, LABELS_KEPT_FOR, MOST_LABELS, Walk

if TYPE_CHECKING:
    import redis


# Ids of jobs that one call asks about.
_JOBS_AT_ONCE = 1000


class RedisWalks:
    """See `Store`."""

    _redis: "redis.Redis"
    _prefix: str
    address: str

    def _call(self, name: str, *args: str | bytes | float) -> object:
        raise NotImplementedError

    @translated
    def owned_jobs(self, account: str, jobs: Sequence[str]) -> set[str]:
        owned: set[str] = set()
        for start in range(0, len(jobs), _JOBS_AT_ONCE):
            some = self._call("owned_jobs", account, *jobs[start : start + _JOBS_AT_ONCE])
            owned.update(cast("list[str]", some))
        return owned

    def wake_owners(self, account: str, jobs: Sequence[str]) -> None:
        for start in range(0, len(jobs), _JOBS_AT_ONCE):
            self._call("wake_owners", account, *jobs[start : start + _JOBS_AT_ONCE])

    def begin_walk(self, account: str, item_id: str, fence: int) -> float | None:
        began_at = self._call("begin_walk", account, item_id, fence)
        return float(cast(str, began_at)) if began_at else None

    def end_walk(self, account: str, item_id: str, walk: Walk, found: Mapping[str, Sequence[Job]]) -> None:
        lists = _json({key: _json(jobs) for key, jobs in found.items()})
        self._call("end_walk", account, item_id, walk.began_at, walk.since, lists, _ms(KEPT_FOR))

    @translated
    def get_walk(self, account: str, keys: Sequence[str]) -> Walk | None:
        values = self._redis.hmget(f"{self._prefix}walk:{account}", ["began_at", "since", *keys])
        began_at, since, *lists = cast("list[str | None]", values)
        if began_at is None or since is None:
            return None
        with suppress(ValueError):  # written by another program
            jobs = [job for each in lists for job in msgspec.json.decode(each or "[]", type=list[Job])]
            return Walk(float(began_at), float(since), tuple(jobs))
        return None

    def note_labels(self, account: str, labels: Mapping[str, str]) -> None:
        pairs = [each for pair in labels.items() for each in pair]
        self._call("note_labels", account, MOST_LABELS, _ms(LABELS_KEPT_FOR), *pairs)

    @translated
    def get_labels(self, account: str, jobs: Sequence[str]) -> dict[str, str]:
        labels = self._redis.hmget(f"{self._prefix}labels:{account}", list(jobs)) if jobs else []
        found = zip(jobs, cast("list[str | None]", labels), strict=True)
        return {job: label for job, label in found if label is not None}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
