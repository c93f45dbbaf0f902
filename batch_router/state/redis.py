"""The store on Redis or Valkey: `store.lua` does the changing, this file the translating."""

import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from importlib.resources import files
from typing import cast

import msgspec
import redis

from ..core.jobs import Failure
from ..exceptions import CorruptItemError
from ..security.logs import get_logger
from .base import ALL, Binding, Commit, Committed, Hint, Quarantined, Reopened, Which
from .census import Census
from .checks import TRIES, corrupt, load_hint, load_item, passed_over, shown
from .facts import Facts, dump_facts
from .items import SCHEMA, AnyItem, Batch, Notice, Shard, batch_id_of, dump_item, notice_id, shard_id
from .redis_border import raise_if_corrupt, translated
from .redis_census import take_census
from .redis_ledger import RedisLedger
from .redis_lists import Lists
from .redis_server import ServerInfo, read_server
from .table import State

log = get_logger(__name__)

_LUA = "".join(files(__package__).joinpath(name).read_text() for name in ("lists.lua", "ledger.lua", "store.lua"))
_FINALS = msgspec.json.encode([state.value for state in State if state.is_final])
# Shards that are read at once.
_SHARDS_AT_ONCE = 1000


class RedisStore(RedisLedger):
    """See `Store`.

    Args:
        client: a connection with `decode_responses=True`.
        prefix: what all keys start with.
        epoch: for a server that has no run id.
    """

    def __init__(self, client: "redis.Redis", prefix: str = "batch_router:", epoch: str = "") -> None:
        self._redis = client
        self._prefix = prefix
        self._epoch = epoch
        self._own = f"{prefix}v{SCHEMA}:"
        self._script = client.register_script(_LUA)
        known = client.connection_pool.connection_kwargs
        self.address = known.get("path") or f"{known.get('host')}:{known.get('port')}"
        self._lists = Lists(client, self._own, self.address)

    @translated
    def _call(self, name: str, *args: str | bytes | float, schema: int = SCHEMA) -> object:
        return self._script(keys=[self._prefix, f"{self._prefix}v{schema}:"], args=[name, self._epoch, *args])

    @translated
    def _change(self, name: str, item_id: str, *args: str | bytes | float) -> object:
        """A call about an item that is there."""
        try:
            return self._script(keys=[self._prefix, self._own], args=[name, self._epoch, item_id, *args])
        except redis.ResponseError as error:
            raise_if_corrupt(item_id, error)
            raise

    @translated
    def now(self) -> float:
        seconds, micros = self._redis.time()
        return float(seconds + micros / 1e6)

    def name(self) -> str:
        return cast(str, self._call("name", secrets.token_hex(8)))

    def create(self, batch: Batch, *, delay: float | None) -> bool:
        due_in = -1 if delay is None else _ms(delay)
        return bool(self._call("create", batch.id, _json(dump_item(batch)), due_in, schema=batch.schema))

    def claim(self, item_id: str, version: int, *, lease: float, holder: str) -> AnyItem | None:
        reply = self._change("claim", item_id, version, _ms(lease), _json(holder), _parent(item_id), SCHEMA)
        flat = cast("list[str] | None", reply)
        return load_item(item_id, dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None

    def renew(self, item_id: str, fence: int, *, holder: str, lease: float, facts: Facts) -> bool:
        return bool(self._change("renew", item_id, fence, _json(holder), _ms(lease), _json(dump_facts(facts))))

    def let_go(self, item_id: str, *, holder: str) -> None:
        self._change("let_go", item_id, _json(holder))

    def commit(self, item_id: str, fence: int, commit: Commit, *, holder: str) -> Committed | None:
        return self._commit(item_id, fence, commit, holder)

    def decide(self, item: AnyItem, commit: Commit, *, holder: str) -> Committed | None:
        return self._commit(item.id, item.version, commit, holder, born=item.created_at)

    def reopen(self, batch: Batch, commit: Commit, shards: Sequence[Reopened]) -> list[Hint] | None:
        moved = [
            (each.shard.id, str(each.shard.version), each.shard.created_at, _json(each.state), dump_facts(each.facts))
            for each in shards
        ]
        reply = self._change(
            "reopen",
            batch.id,
            batch.version,
            batch.created_at,
            _json(commit.state),
            -1 if commit.delay is None else _ms(commit.delay),
            _json(dump_facts(commit.facts)),
            _json(moved),
            _ms(commit.grace),
            int(commit.forget),
        )
        return self._readable(cast("list[list[str]]", reply)) if reply else None

    def _commit(
        self, item_id: str, fence: int, commit: Commit, holder: str, born: float | None = None
    ) -> Committed | None:
        parent = _parent(item_id)
        reply = self._change(
            "commit",
            item_id,
            fence,
            _json(commit.state),
            -1 if commit.delay is None else _ms(commit.delay),
            _json(dump_facts(commit.facts)),
            _json(holder),
            parent,
            _json(State.FINISHING) if parent and commit.state.is_final else "",
            _json([(each.counts_as_open, dump_item(each)) for each in commit.spawn]),
            _ms(commit.grace),
            int(commit.forget),
            "" if born is None else born,
            _json({":".join(total): amount for total, amount in commit.tally.items()}),
        )
        if not reply:
            return None
        version, *woken = cast("list[int | list[str]]", reply)
        return Committed(cast(int, version), self._readable(cast("list[list[str]]", woken)))

    def take_due(self, limit: int, *, grace: float) -> list[Hint]:
        rows, dropped = cast(
            "tuple[list[list[str]], list[str]]", self._call("take_due", limit, _ms(grace), _json(State.FINISHING))
        )
        for entry in dropped:
            log.warning("action=dropped entry=%s: it was due, and is no id of an item", shown(entry))
        return self._readable(rows)

    @translated
    def restore_times(self, *, every: float) -> list[str]:
        if not self._redis.set(f"{self._own}looked_for_times", 1, nx=True, px=_ms(every)):
            return []
        restored: list[str] = []
        for batches in self._lists.pages_of_open():
            restored += cast("list[str]", self._call("restore_times", _FINALS, *batches))
        return restored

    def hold_back(self, hints: Sequence[Hint]) -> None:
        if hints:
            self._call("hold_back", *(part for hint in hints for part in (hint.id, hint.version)))

    def suspect(self, item_id: str, reason: str) -> bool:
        is_set_aside = bool(self._call("suspect", item_id, shown(reason), TRIES))
        if is_set_aside:
            log.error("action=quarantined item=%s reason=%s", shown(item_id), shown(reason))
        return is_set_aside

    def quarantined(self, limit: int) -> list[Quarantined]:
        return self._lists.quarantined(limit)

    def quarantined_of(self, batch: Batch) -> list[Quarantined]:
        shards = (shard_id(batch.id, number) for number in range(batch.shards))
        notices = (notice_id(batch.id, number) for number in range(batch.notices))
        return self._lists.quarantined_of([batch.id, *shards, *notices])

    def release(self, item_id: str) -> list[str]:
        return cast("list[str]", self._change("release", item_id, _FINALS))

    def end_run(self, word: str) -> None:
        """Note with a word of the caller's own that the server ends now."""
        self._call("end_run", word)

    def go_on(self, word: str) -> None:
        """Go on with the epoch of the server that ended in good order with this word, if this one has all its data."""
        self._call("go_on", word)

    def cancel(self, batch_id: str, reason: Failure | None = None) -> bool:
        return bool(self._change("cancel", batch_id, _FINALS, "" if reason is None else _json(reason)))

    def delete(self, batch: Batch) -> bool:
        return bool(self._change("delete", batch.id, batch.created_at, _FINALS))

    @translated
    def unfetched_jobs_of(self, account: str) -> set[str]:
        return set(cast("list[str]", self._redis.zrange(f"{self._prefix}unfetched:{account}", 0, -1)))

    @translated
    def unknown(self, batch_ids: Sequence[str]) -> list[str]:
        pipeline = self._redis.pipeline(transaction=False)
        for batch_id in batch_ids:
            pipeline.exists(f"{self._prefix}item:{batch_id}")
        return [batch_id for batch_id, known in zip(batch_ids, pipeline.execute(), strict=True) if not known]

    def get_batch(self, batch_id: str) -> Batch | None:
        return next((item for item in self._load([batch_id]) if isinstance(item, Batch)), None)

    def get_shard(self, shard_id: str) -> Shard | None:
        return next((item for item in self._load([shard_id]) if isinstance(item, Shard)), None)

    def get_shards(self, batch: Batch) -> list[Shard]:
        found: list[Shard] = []
        for start in range(0, batch.shards, _SHARDS_AT_ONCE):
            numbers = range(start, min(start + _SHARDS_AT_ONCE, batch.shards))
            items = self._load([shard_id(batch.id, number) for number in numbers])
            if not items and len(numbers) == _SHARDS_AT_ONCE:
                raise corrupt(batch.id, f"it has {batch.shards} shards, and none from {start} on is there")
            found += [item for item in items if isinstance(item, Shard)]
        return found

    def get_notices(self, batch: Batch) -> list[Notice]:
        items = self._load([notice_id(batch.id, number) for number in range(batch.notices)])
        return [item for item in items if isinstance(item, Notice)]

    def iter_batches(self, which: Which = ALL) -> Iterator[Batch]:
        for ids in self._lists.pages(which):
            yield from self._load_batches(ids)

    def iter_ended(self, before: float) -> Iterator[Batch]:
        for ids in self._lists.pages_of_ended(before):
            yield from self._load_batches(ids)

    def accounts(self) -> set[tuple[str, str | None]]:
        return self._lists.accounts()

    def undecided(self, labels: Collection[str]) -> set[str]:
        known = self._lists.shards_of(labels)
        shards = self._load(list(known.values()), skip=True)
        decided = {item.label for item in shards if isinstance(item, Shard) and (item.job or item.state.is_final)}
        return known.keys() - decided

    def has_company(self, item_id: str, account: str, model: str) -> bool:
        return self._lists.has_company(item_id, account, model)

    @translated
    def foreign_items(self, limit: int) -> list[str]:
        layouts = cast("set[str]", self._redis.smembers(f"{self._prefix}layouts")) - {self._own}
        pipeline = self._redis.pipeline(transaction=False)
        for layout in (self._prefix, *sorted(layouts)):  # the first versions had none
            pipeline.zrange(f"{layout}due", 0, limit - 1)
        return [shown(item_id) for ids in pipeline.execute() for item_id in ids][:limit]

    def pause(self, account: str, seconds: float) -> None:
        self._call("pause", account, max(1, _ms(seconds)))

    @translated
    def paused(self, account: str) -> float:
        return max(0, self._redis.pttl(f"{self._prefix}pause:{account}")) / 1000

    def announce(self, worker: str, queues: Sequence[str], *, ttl: float) -> str:
        return cast(str, self._call("announce", worker, _ms(ttl), *queues))

    def listeners(self, queue: str) -> list[str]:
        return cast("list[str]", self._call("listeners", queue))

    @translated
    def bind_storage(self, binding: Binding, *, again: bool = False) -> Binding:
        self._redis.set(f"{self._prefix}storage", _json(binding), nx=not again)  # `SET NX GET` needs Redis 7.0
        return self.bound_storage() or binding

    @translated
    def bound_storage(self) -> Binding | None:
        found = cast("str | None", self._redis.get(f"{self._prefix}storage"))
        return None if found is None else _binding(found)

    @translated
    def census(self) -> Census:
        providers = {provider for provider, _ in self._lists.accounts()}
        return take_census(self._redis, self._prefix, self._own, sorted(providers))

    @translated
    def server(self) -> ServerInfo:
        """What runs there."""
        return read_server(self._redis)

    def close(self) -> None:
        with suppress(redis.RedisError):
            self._redis.close()

    def _readable(self, rows: list[list[str]]) -> list[Hint]:
        """What can be published; an item that is corrupt is left out and noted, or it would hold up all others."""
        hints: list[Hint] = []
        for row in rows:
            try:
                hints.append(load_hint(*row))
            except CorruptItemError as error:
                self.suspect(row[0], error.why)
        return hints

    def _load_batches(self, ids: Sequence[str]) -> Iterator[Batch]:
        return (item for item in self._load(ids, skip=True) if isinstance(item, Batch))

    @translated
    def _load(self, ids: Sequence[str], *, skip: bool = False) -> list[AnyItem]:
        """The items that are there; one that is corrupt is an error, or left out with a warning."""
        pipeline = self._redis.pipeline(transaction=False)
        for item_id in ids:
            pipeline.hgetall(f"{self._prefix}item:{item_id}")
        items: list[AnyItem] = []
        for item_id, answer in zip(ids, pipeline.execute(raise_on_error=False), strict=True):
            with passed_over() if skip else nullcontext():
                items += _read(item_id, answer)
        return items


def _binding(found: str) -> Binding:
    try:
        return msgspec.json.decode(found, type=Binding)
    except msgspec.MsgspecError:  # an earlier version remembered a path
        return Binding("", shown(found))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _parent(item_id: str) -> str:
    batch_id = batch_id_of(item_id)
    return batch_id if batch_id != item_id else ""


def _read(item_id: str, answer: "dict[str, str] | redis.RedisError") -> list[AnyItem]:
    """The item of an answer to HGETALL, if it is there."""
    if isinstance(answer, redis.RedisError):
        raise_if_corrupt(item_id, answer)
        raise answer
    return [load_item(item_id, answer)] if answer else []
