"""The lists that `lists.lua` keeps, as they are read: ids of batches, and what concerns an account."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import msgspec

from ..core import BatchStatus
from .base import Quarantined, Which
from .checks import shown
from .items import batch_id_of
from .redis_border import translated

if TYPE_CHECKING:
    import redis

# Batches that are read at once: few at first, for a caller may want few.
_FIRST_PAGE, _LARGEST_PAGE = 25, 400
# Batches whose shards are looked at at once.
_FEW = 10
# Ids that are read at once.
_IDS = 5000


class Lists:
    """What the store of one version has, by provider, status, id, end, account and label.

    Args:
        client: see `RedisStore`.
        own: what the keys of this version start with.
        address: of the server, for errors.
    """

    def __init__(self, client: "redis.Redis", own: str, address: str) -> None:
        self._redis = client
        self._own = own
        self.address = address

    def pages(self, which: Which) -> Iterator[list[str]]:
        """Ids of batches, the newest first."""
        if which.status is BatchStatus.PARKED:
            yield from _in_pages(self._parked(which))
        elif which.prefix:
            yield from _in_pages(self._with_prefix(which))
        else:
            yield from self._read(self._key(which), which)

    def pages_of_ended(self, before: float) -> Iterator[list[str]]:
        """Ids of batches that ended before a time (seconds since 1970), those first that ended first."""
        yield from _in_pages(self._ended(before))

    def pages_of_open(self) -> Iterator[list[str]]:
        """Ids of batches that have not ended, few at once: a batch may have thousands of shards."""
        for status in (BatchStatus.QUEUED, BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING):
            which = Which(status=status)
            for page in self._read(self._key(which), which):
                yield from (page[start : start + _FEW] for start in range(0, len(page), _FEW))

    @translated
    def quarantined(self, limit: int) -> list[Quarantined]:
        """What is in the quarantine, the newest first."""
        newest = self._redis.zrevrange(f"{self._own}quarantine", 0, limit - 1, withscores=True)
        return self._with_reasons(cast("list[tuple[str, float]]", newest))

    @translated
    def quarantined_of(self, ids: Sequence[str]) -> list[Quarantined]:
        """Those of these items that are in the quarantine."""
        key = f"{self._own}quarantine"
        if not self._redis.zcard(key):  # as nearly always
            return []
        times = zip(ids, self._redis.zmscore(key, list(ids)), strict=True)
        return self._with_reasons([(item_id, since) for item_id, since in times if since is not None])

    def _with_reasons(self, found: list[tuple[str, float]]) -> list[Quarantined]:
        ids = [item_id for item_id, _ in found]
        reasons = cast("list[str | None]", self._redis.hmget(f"{self._own}reasons", ids)) if ids else []
        pairs = zip(found, reasons, strict=True)
        return [Quarantined(shown(item_id), since / 1000, shown(reason or "")) for (item_id, since), reason in pairs]

    @translated
    def accounts(self) -> set[tuple[str, str | None]]:
        """Provider and credential of batches."""
        found: set[tuple[str, str | None]] = set()
        for each in cast("list[str]", self._redis.zrange(f"{self._own}accounts", 0, -1)):
            with suppress(msgspec.MsgspecError):  # written by another program
                found.add(msgspec.json.decode(each, type=tuple[str, str | None]))
        return found

    @translated
    def shards_of(self, labels: Collection[str]) -> dict[str, str]:
        """The ids of the shards that have these labels, where there are any."""
        names = list(labels)
        found = cast("list[str | None]", self._redis.hmget(f"{self._own}labels", names)) if names else []
        return {label: item_id for label, item_id in zip(names, found, strict=True) if item_id is not None}

    @translated
    def has_company(self, item_id: str, account: str, model: str) -> bool:
        """Whether another shard than this one has a job of this account and model that waits or runs."""
        key = f"{self._own}in_flight:{account}:{model}"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.scard(key)
        pipeline.sismember(key, item_id)
        count, is_in = pipeline.execute()
        return int(count) > int(is_in)

    def _key(self, which: Which) -> str:
        return f"{self._own}batches:{which.provider or ''}:{which.status or ''}"

    def _read(self, key: str, which: Which) -> Iterator[list[str]]:
        after, size = self._passed(key, which), _FIRST_PAGE
        while page := self._page(key, which, after, size):
            yield page
            after, size = after + len(page), min(2 * size, _LARGEST_PAGE)

    @translated
    def _page(self, key: str, which: Which, after: int, size: int) -> list[str]:
        newest = _ms(which.before.created_at) if which.before else "+inf"
        return cast("list[str]", self._redis.zrevrangebyscore(key, newest, _ms(which.since), after, size))

    @translated
    def _passed(self, key: str, which: Which) -> int:
        """How many are of the same millisecond as the place after which the list begins, and not after it."""
        if which.before is None:
            return 0
        at = _ms(which.before.created_at)
        return sum(each >= which.before.id for each in cast("list[str]", self._redis.zrangebyscore(key, at, at)))

    @translated
    def _with_prefix(self, which: Which) -> list[str]:
        """All of them: they lie in the order of their ids."""
        ids = f"{self._own}ids"
        first, last = f"[{which.prefix}", f"[{which.prefix}\x7f"
        count = int(self._redis.zlexcount(ids, first, last))
        pages = (self._redis.zrangebylex(ids, first, last, start, _IDS) for start in range(0, count, _IDS))
        return self._placed(cast("Iterable[list[str]]", pages), which)

    @translated
    def _parked(self, which: Which) -> list[str]:
        """All batches with a parked shard: the operator decides about each, so they are few."""
        shards = cast("list[str]", self._redis.zrange(f"{self._own}parked", 0, -1))
        names = [each for each in dict.fromkeys(map(batch_id_of, shards)) if each.startswith(which.prefix)]
        return self._placed([names], which._replace(status=None))

    def _placed(self, pages: Iterable[list[str]], which: Which) -> list[str]:
        """Those of these ids that are meant, the newest first."""
        key, since = self._key(which), _ms(which.since)
        before = (_ms(which.before.created_at), which.before.id) if which.before else (math.inf, "")
        found: list[tuple[float, str]] = []
        for names in pages:
            times = self._redis.zmscore(key, names) if names else []
            places = ((at, name) for at, name in zip(times, names, strict=True) if at is not None)
            found += (place for place in places if place[0] >= since and place < before)
        return [name for _, name in sorted(found, reverse=True)]

    @translated
    def _ended(self, before: float) -> list[str]:
        return cast("list[str]", self._redis.zrangebyscore(f"{self._own}ended", "-inf", f"({round(before * 1000)}"))


def _in_pages(ids: list[str]) -> Iterator[list[str]]:
    return (ids[start : start + _LARGEST_PAGE] for start in range(0, len(ids), _LARGEST_PAGE))


def _ms(seconds: float) -> int:
    """As `lists.lua` notes it."""
    return math.floor(seconds * 1000)
