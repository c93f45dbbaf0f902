"""The store on Redis: the ledger."""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from .facts import ShardFacts, dump_facts
from .ledger import Line, Reservation
from .redis_border import translated
from .redis_walks import RedisWalks


class RedisLedger(RedisWalks):
    """See `Store`."""

    def _change(self, name: str, item_id: str, *args: str | bytes | float) -> object:
        raise NotImplementedError

    def reserve(
        self, item_id: str, fence: int, *, holder: str, lease: float, limits: Mapping[str, int], facts: ShardFacts
    ) -> Reservation:
        given, dumped = _json(limits), _json(dump_facts(facts))
        answer = self._change("reserve", item_id, fence, _json(holder), round(lease * 1000), dumped, given)
        return Reservation(answer != 0, answer if isinstance(answer, str) else None)

    def set_limit(self, line: str, limit: int | None) -> None:
        self._call("set_limit", line, "" if limit is None else limit)

    @translated
    def get_limits(self) -> dict[str, int]:
        found = cast("dict[str, str]", self._redis.hgetall(f"{self._prefix}limits"))
        return {line: int(limit) for line, limit in found.items()}

    @translated
    def get_lines(self, names: Sequence[str]) -> list[Line]:
        if not names:
            return []
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hmget(f"{self._prefix}ledger", list(names))
        pipeline.hmget(f"{self._prefix}limits", list(names))
        for name in names:
            pipeline.zcard(f"{self._prefix}waiting:{name}")
        booked, limits, *waiting = pipeline.execute()
        return [
            Line(name, int(sum_ or 0), None if limit is None else int(limit), count)
            for name, sum_, limit, count in zip(names, booked, limits, waiting, strict=True)
        ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
