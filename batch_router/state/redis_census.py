"""The numbers of a store on Redis, from its counters and lists: three round trips, however many batches there are."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ..core import BatchStatus
from ..security.names import PROVIDER, QUEUE
from .census import FIRST, Census, Standing, Total
from .table import State

if TYPE_CHECKING:
    import redis

Name = TypeVar("Name")

_KINDS = ("batch", "shard", "notice")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def take_census(client: "redis.Redis", prefix: str, own: str, providers: Iterable[str]) -> Census:
    """Count; entries that batch_router could not have written are left out.

    Args:
        client: see `RedisStore`.
        prefix: what all keys start with.
        own: what the keys of this version start with.
        providers: of the batches.

    Raises:
        redis.RedisError: the server does not answer.
    """
    seconds, micros = client.time()
    now = seconds * 1000 + micros // 1000
    counted = client.pipeline(transaction=False)
    counted.hgetall(f"{own}standing")
    counted.hgetall(f"{prefix}totals")
    counted.zcount(f"{own}due", "-inf", now)
    counted.zrangebyscore(f"{own}due", "-inf", now, 0, FIRST, withscores=True)
    counted.zcard(f"{own}quarantine")
    standing, totals, overdue, due, quarantined = counted.execute()
    listed = [(provider, status.value) for provider in providers if PROVIDER.fullmatch(provider) for status in _LISTED]
    looked = client.pipeline(transaction=False)
    for provider, status in listed:
        looked.zcard(f"{own}batches:{provider}:{status}")
    for item_id, _ in due:
        looked.hmget(f"{prefix}item:{item_id}", "kind", "provider", "queue", "state")
    sizes = looked.execute(raise_on_error=False)  # the key of an item may be of another kind
    return Census(
        items={place: int(number) for place, number in _read(standing, _standing)},
        batches={place: size for place, size in zip(listed, sizes, strict=False) if isinstance(size, int)},
        totals=dict(_read(totals, _total)),
        overdue=overdue,
        oldest_overdue=(now - due[0][1]) / 1000 if due else 0,
        first_overdue=Counter(_of_items(sizes[len(listed) :])),
        quarantined=quarantined,
    )


# The store does not tell `validating` from `queued`, and a batch with a parked shard is in another list besides.
_LISTED = tuple(each for each in BatchStatus if each not in (BatchStatus.VALIDATING, BatchStatus.PARKED))


def _read(counters: Mapping[str, str], read: Callable[[str], Name]) -> Iterator[tuple[Name, float]]:
    for name, value in counters.items():
        with suppress(ValueError):
            if math.isfinite(number := float(value)):
                yield read(name), max(0.0, number)


def _standing(name: str) -> Standing:
    """Of a counter's name.

    Raises:
        ValueError: it is none.
    """
    kind, provider, queue, state = name.split(":")
    if kind not in _KINDS or not PROVIDER.fullmatch(provider) or not QUEUE.fullmatch(queue or "io"):
        raise ValueError(name)
    return Standing(kind, provider, queue or None, State(state))


def _total(name: str) -> Total:
    what, provider, label = name.split(":")
    if not PROVIDER.fullmatch(provider) or not _WORD.fullmatch(label):
        raise ValueError(name)
    return Total(what, provider, label)


def _of_items(found: Sequence[object]) -> Iterator[Standing]:
    for fields in found:
        if isinstance(fields, list) and all(fields[n] for n in (0, 1, 3)):
            with suppress(ValueError, msgspec.MsgspecError):
                words = [msgspec.json.decode(field or "null", type=str | None) or "" for field in fields]
                yield _standing(":".join(words))
