"""The CPU steps of the road on their own: one process, a real store, no workers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import redis

from batch_router.operations.submit import submit
from batch_router.road.context import Clients, Context
from batch_router.road.lease import LeaseKeeper
from batch_router.road.steps.convert import convert
from batch_router.road.steps.finish import finish
from batch_router.road.steps.normalize import normalize
from batch_router.settings import Settings
from batch_router.state.base import Commit
from batch_router.state.facts import Facts
from batch_router.state.items import Batch, Shard
from batch_router.state.redis import RedisStore
from batch_router.state.table import State
from batch_router.storage import FolderStorage
from tests.items import fetched

BATCH_ID = "bench"
T = TypeVar("T", Batch, Shard)


def open_road(home: Path, url: str) -> Context:
    settings = Settings(home=home, lease=3600)
    store = RedisStore(redis.Redis.from_url(url, decode_responses=True), prefix=f"{home.name}:")
    keeper = LeaseKeeper(store, lease=3600, every=600)
    return Context(settings, store, FolderStorage(home), "bench", Clients(settings), keeper)


def submit_file(context: Context, path: Path, schema: dict[str, object] | None = None) -> Batch:
    """Submit, and claim the batch as `convert` would find it."""
    submit(context, "openai", {"input": path, "batch_id": BATCH_ID, "check_rows": 0, "output_schema": schema})
    return claim(context, BATCH_ID, 1, Batch)


def convert_and_commit(context: Context, batch: Batch) -> list[Shard]:
    outcome = convert(context, batch)
    _commit(context, batch, outcome.state, outcome.facts, outcome.spawn)
    return shards_of(context)


def shards_of(context: Context) -> list[Shard]:
    batch = context.store.get_batch(BATCH_ID)
    assert batch is not None
    return context.store.get_shards(batch)


def answers_path(context: Context, shard: Shard) -> Path:
    return Path(context.storage.address, f"{shard.id}-answers.jsonl")


def claim_answered(context: Context, shard: Shard) -> Shard:
    """The shard as `normalize` would find it."""
    claimed = claim(context, shard.id, 1, Shard)
    answers = answers_path(context, shard)
    return msgspec.structs.replace(claimed, answers=fetched(answers.name, answers.stat().st_size))


def normalize_and_commit(context: Context, shard: Shard) -> None:
    outcome = normalize(context, shard)
    _commit(context, shard, State.COMPLETED, outcome.facts)  # no provider, nothing to clean there


def finish_and_commit(context: Context) -> None:
    batch = context.store.get_batch(BATCH_ID)
    assert batch is not None
    claimed = claim(context, BATCH_ID, batch.version, Batch)
    outcome = finish(context, claimed)
    _commit(context, claimed, outcome.state, outcome.facts)


def claim(context: Context, item_id: str, version: int, kind: type[T]) -> T:
    """An item as its step would get it."""
    item = context.store.claim(item_id, version, lease=3600, holder="bench")
    assert isinstance(item, kind)
    return item


def _commit(context: Context, item: Batch | Shard, state: State, facts: Facts, spawn: Sequence[Shard] = ()) -> None:
    commit = Commit(state, None, facts, spawn, grace=3600)
    assert context.store.commit(item.id, item.version, commit, holder="bench") is not None
