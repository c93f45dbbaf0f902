"""The store on Redis or Valkey: `store.lua` does the changing, this file the translating."""

from collections.abc import Sequence
from functools import wraps
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
import redis

from ..exceptions import StoreUnavailableError
from .base import Commit, Committed, Hint
from .items import SCHEMA, Batch, Shard, batch_id_of, dump_fields, load_item, shard_id
from .table import State, is_final

P = ParamSpec("P")
T = TypeVar("T")

_LUA = files(__package__).joinpath("store.lua").read_text()
_FINALS = msgspec.json.encode([state.value for state in State if is_final(state)])
_LOST = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError)


def _translated(method: Any) -> Any:
    """Redis' errors as ours, at the one border to it."""

    @wraps(method)
    def call(self: "RedisStore", *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except redis.AuthenticationError as error:  # a kind of ConnectionError
            raise StoreUnavailableError(f"Redis at {self.address} refuses the password of its URL") from error
        except _LOST as error:
            raise StoreUnavailableError(
                f"Redis at {self.address} does not answer ({type(error).__name__}): "
                "is it running, and is BATCH_ROUTER_REDIS_URL right?"
            ) from error
        except redis.OutOfMemoryError as error:
            raise StoreUnavailableError(f"Redis at {self.address} is full (maxmemory); nothing was changed") from error

    return call


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
    def _call(self, name: str, *args: Any) -> Any:
        return self._script(keys=[self._prefix], args=[name, *args])

    @_translated
    def now(self) -> float:
        seconds, micros = self._redis.time()
        return seconds + micros / 1e6

    def create(self, batch_id: str, facts: dict[str, Any], *, delay: float) -> bool:
        fields = {"schema": SCHEMA, **facts, "id": batch_id, "state": State.QUEUED}
        return bool(self._call("create", batch_id, _json(dump_fields(fields)), _ms(delay)))

    def claim(self, item_id: str, version: int, *, lease: float, holder: str) -> Batch | Shard | None:
        flat = self._call("claim", item_id, version, _ms(lease), _json(holder), _parent(item_id), SCHEMA)
        return load_item(dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None

    def renew(self, item_id: str, fence: int, *, lease: float, patch: dict[str, Any] | None = None) -> bool:
        return bool(self._call("renew", item_id, fence, _ms(lease), _json(dump_fields(patch or {}))))

    def commit(self, item_id: str, fence: int, commit: Commit, *, holder: str) -> Committed | None:
        parent = _parent(item_id)
        reply = self._call(
            "commit",
            item_id,
            fence,
            _json(commit.state),
            -1 if commit.delay is None else _ms(commit.delay),
            _json(dump_fields(commit.patch)),
            _json(holder),
            parent,
            _json(State.FINISHING) if parent and is_final(commit.state) else "",
            _json([_spawned(batch_id_of(item_id), facts) for facts in commit.spawn]),
            _ms(commit.grace),
        )
        return Committed(reply[0], [_hint(row) for row in reply[1:]]) if reply else None

    def take_due(self, limit: int, *, grace: float) -> list[Hint]:
        return [_hint(row) for row in self._call("take_due", limit, _ms(grace), SCHEMA)]

    def cancel(self, batch_id: str) -> bool:
        return bool(self._call("cancel", batch_id, _FINALS))

    def delete(self, batch_id: str) -> bool:
        return bool(self._call("delete", batch_id, _FINALS))

    @_translated
    def forgotten_jobs(self) -> set[str]:
        return set(cast("list[str]", self._redis.zrange(f"{self._prefix}forgotten", 0, -1)))

    def get_batch(self, batch_id: str) -> Batch | None:
        return next((item for item in self._load([batch_id]) if isinstance(item, Batch)), None)

    def get_shard(self, shard_id: str) -> Shard | None:
        return next((item for item in self._load([shard_id]) if isinstance(item, Shard)), None)

    def get_shards(self, batch: Batch) -> list[Shard]:
        items = self._load([shard_id(batch.id, number) for number in range(batch.shards)])
        return [item for item in items if isinstance(item, Shard)]

    @_translated
    def list_batches(self, limit: int) -> list[Batch]:
        ids = cast("list[str]", self._redis.zrevrange(f"{self._prefix}batches", 0, limit - 1))
        return [item for item in self._load(ids) if isinstance(item, Batch)]

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
    def bind_storage(self, root: str) -> str:
        bound = self._redis.set(f"{self._prefix}storage", root, nx=True, get=True)
        return cast("str | None", bound) or root

    def close(self) -> None:
        self._redis.close()

    @_translated
    def _load(self, ids: Sequence[str]) -> list[Batch | Shard]:
        pipeline = self._redis.pipeline(transaction=False)
        for item_id in ids:
            pipeline.hgetall(f"{self._prefix}item:{item_id}")
        return [load_item(fields) for fields in pipeline.execute() if fields]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _parent(item_id: str) -> str:
    batch_id = batch_id_of(item_id)
    return batch_id if batch_id != item_id else ""


def _spawned(batch_id: str, facts: dict[str, Any]) -> dict[str, str]:
    return dump_fields({"schema": SCHEMA, **facts, "batch": batch_id, "state": State.UPLOADING})


def _hint(row: list[str]) -> Hint:
    item_id, version, *facts = row
    state, provider, queue = map(msgspec.json.decode, facts)
    return Hint(item_id, int(version), State(state), provider, queue)
