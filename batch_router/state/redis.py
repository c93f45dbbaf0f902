"""The store on Redis or Valkey: `store.lua` does the changing, this file the translating."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from importlib.resources import files
from typing import Concatenate, ParamSpec, TypeVar, cast

import msgspec
import redis

from ..exceptions import StoreUnavailableError
from .base import Commit, Committed, Hint
from .items import SCHEMA, Batch, Facts, Shard, batch_id_of, dump_facts, dump_item, load_item, shard_id
from .table import State

P = ParamSpec("P")
T = TypeVar("T")

_LUA = files(__package__).joinpath("store.lua").read_text()
_FINALS = msgspec.json.encode([state.value for state in State if state.is_final])
# Batches that are read at once: few at first, for a caller may want few.
_FIRST_PAGE, _LARGEST_PAGE = 25, 400

# What Redis' errors mean, most specific first. An error that is not listed is one of the server's own.
_MEANINGS: tuple[tuple[tuple[type[redis.RedisError], ...], str], ...] = (
    ((redis.AuthenticationError,), "refuses the password of its URL"),  # a kind of ConnectionError
    ((redis.OutOfMemoryError,), "is full (maxmemory); nothing was changed"),
    ((redis.BusyLoadingError,), "still loads its data"),
    (
        (redis.ConnectionError, redis.TimeoutError),
        "does not answer ({kind}): is it running, and is BATCH_ROUTER_REDIS_URL right?",
    ),
    ((redis.RedisError,), "refuses a command ({kind}{code})"),
)


def _translated(method: "Callable[Concatenate[RedisStore, P], T]") -> "Callable[Concatenate[RedisStore, P], T]":
    """Redis' errors as ours, at the one border to it: every one of them, for any may pass."""

    @wraps(method)
    def call(self: "RedisStore", *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except redis.DataError:  # a value of ours that the client cannot send: a bug, not a condition of the server
            raise
        except redis.RedisError as error:
            meaning = next(meaning for kinds, meaning in _MEANINGS if isinstance(error, kinds))
            described = meaning.format(kind=type(error).__name__, code=_code(error))
            raise StoreUnavailableError(f"Redis at {self.address} {described}") from error

    return cast("Callable[Concatenate[RedisStore, P], T]", call)


def _code(error: redis.RedisError) -> str:
    """The code in front of a server's error (NOREPLICAS, READONLY...); what follows may quote arguments."""
    word = str(error).partition(" ")[0]
    return f": {word}" if word.isupper() else ""


class RedisStore:
    """See `Store`.

    Args:
        client: a connection with `decode_responses=True`.
        prefix: what all keys start with.
    """

    def __init__(self, client: "redis.Redis", prefix: str = "batch_router:") -> None:
        self._redis = client
        self._prefix = prefix
        self._script = client.register_script(_LUA)
        known = client.connection_pool.connection_kwargs
        self.address = known.get("path") or f"{known.get('host')}:{known.get('port')}"

    @_translated
    def _call(self, name: str, *args: str | bytes | float) -> object:
        return self._script(keys=[self._prefix], args=[name, *args])

    @_translated
    def now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)

    def create(self, batch: Batch, *, delay: float) -> bool:
        return bool(self._call("create", batch.id, _json(dump_item(batch)), _ms(delay)))

    def claim(self, item_id: str, version: int, *, lease: float, holder: str) -> Batch | Shard | None:
        reply = self._call("claim", item_id, version, _ms(lease), _json(holder), _parent(item_id), SCHEMA)
        flat = cast("list[str] | None", reply)
        return load_item(dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None

    def renew(self, item_id: str, fence: int, *, lease: float, facts: Facts) -> bool:
        return bool(self._call("renew", item_id, fence, _ms(lease), _json(dump_facts(facts))))

    def commit(self, item_id: str, fence: int, commit: Commit, *, holder: str) -> Committed | None:
        parent = _parent(item_id)
        reply = self._call(
            "commit",
            item_id,
            fence,
            _json(commit.state),
            -1 if commit.delay is None else _ms(commit.delay),
            _json(dump_facts(commit.facts)),
            _json(holder),
            parent,
            _json(State.FINISHING) if parent and commit.state.is_final else "",
            _json([(shard.counts_as_open, dump_item(shard)) for shard in commit.spawn]),
            _ms(commit.grace),
        )
        if not reply:
            return None
        version, *woken = cast("list[int | list[str]]", reply)
        return Committed(cast(int, version), [_hint(row) for row in cast("list[list[str]]", woken)])

    def take_due(self, limit: int, *, grace: float) -> list[Hint]:
        rows = cast("list[list[str]]", self._call("take_due", limit, _ms(grace), SCHEMA))
        return [_hint(row) for row in rows]

    def cancel(self, batch_id: str) -> bool:
        return bool(self._call("cancel", batch_id, _FINALS))

    def delete(self, batch_id: str) -> bool:
        return bool(self._call("delete", batch_id, _FINALS))

    @_translated
    def jobs_of(self, account: str) -> set[str]:
        return set(cast("list[str]", self._redis.zrange(f"{self._prefix}jobs:{account}", 0, -1)))

    def get_batch(self, batch_id: str) -> Batch | None:
        return next((item for item in self._load([batch_id]) if isinstance(item, Batch)), None)

    def get_shard(self, shard_id: str) -> Shard | None:
        return next((item for item in self._load([shard_id]) if isinstance(item, Shard)), None)

    def get_shards(self, batch: Batch) -> list[Shard]:
        items = self._load([shard_id(batch.id, number) for number in range(batch.shards)])
        return [item for item in items if isinstance(item, Shard)]

    def iter_batches(self) -> Iterator[Batch]:
        for page in self._pages():
            ids = [batch_id for batch_id, schema in page.items() if schema == SCHEMA]
            yield from (item for item in self._load(ids) if isinstance(item, Batch))

    def foreign_batches(self) -> list[str]:
        return [batch_id for page in self._pages() for batch_id, schema in page.items() if schema != SCHEMA]

    def _pages(self) -> Iterator[dict[str, int]]:
        """The batches' ids with their schemas, the newest first."""
        after, size = 0, _FIRST_PAGE
        while page := self._page(after, size):
            yield page
            after, size = after + len(page), min(2 * size, _LARGEST_PAGE)

    @_translated
    def _page(self, after: int, size: int) -> dict[str, int]:
        ids = cast("list[str]", self._redis.zrevrange(f"{self._prefix}batches", after, after + size - 1))
        pipeline = self._redis.pipeline(transaction=False)
        for batch_id in ids:
            pipeline.hget(f"{self._prefix}item:{batch_id}", "schema")
        return {batch_id: int(schema or 1) for batch_id, schema in zip(ids, pipeline.execute(), strict=True)}

    def pause(self, account: str, seconds: float) -> None:
        self._call("pause", account, max(1, _ms(seconds)))

    @_translated
    def paused(self, account: str) -> float:
        return max(0, self._redis.pttl(f"{self._prefix}pause:{account}")) / 1000

    def announce(self, worker: str, queues: Sequence[str], *, ttl: float) -> None:
        self._call("announce", worker, _ms(ttl), *queues)

    def listeners(self, queue: str) -> list[str]:
        return cast("list[str]", self._call("listeners", queue))

    @_translated
    def bind_storage(self, address: str) -> str:
        key = f"{self._prefix}storage"
        self._redis.set(key, address, nx=True)  # `SET NX GET` needs Redis 7.0
        return cast(str, self._redis.get(key))

    def close(self) -> None:
        with suppress(redis.RedisError):
            self._redis.close()

    @_translated
    def _load(self, ids: Sequence[str]) -> list[Batch | Shard]:
        pipeline = self._redis.pipeline(transaction=False)
        for item_id in ids:
            pipeline.hgetall(f"{self._prefix}item:{item_id}")
        return [load_item(fields) for fields in pipeline.execute() if fields]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _parent(item_id: str) -> str:
    batch_id = batch_id_of(item_id)
    return batch_id if batch_id != item_id else ""


def _hint(row: list[str]) -> Hint:
    item_id, version, *facts = row
    state, provider, queue = map(msgspec.json.decode, facts)
    return Hint(item_id, int(version), State(state), provider, queue)
