"""Items as a test needs them: what it does not say has some value."""

from typing import Any

from batch_router.road.outcome import Outcome
from batch_router.security.paths import batch_folder
from batch_router.state.base import Commit, Store
from batch_router.state.items import Batch, InputFile, Shard
from batch_router.state.parts import Fetched
from batch_router.state.table import FIRST_OF_SHARD, State

#: Of a shard whose label does not matter.
LABEL = "0123456789abcdef"


def new_batch(batch_id: str = "b", **facts: Any) -> Batch:
    values: dict[str, Any] = {"state": State.QUEUED, "provider": "openai"} | facts
    folder = batch_folder(values["provider"], batch_id)
    rows = InputFile(stored=f"{folder}/input.jsonl", size=1, hash="0")
    own: dict[str, Any] = {"input": rows, "submission": f"{folder}/submission.json"}
    return Batch(**(own | values | {"id": batch_id}))


def new_shard(batch_id: str = "b", **facts: Any) -> Shard:
    values: dict[str, Any] = {
        "state": FIRST_OF_SHARD,
        "provider": "openai",
        "label": LABEL,
        "model": "m",
        "rows": 1,
        "size": 3,
        "first_row": 0,
    } | facts
    folder = batch_folder(values["provider"], batch_id)
    names = {"requests": f"{folder}/requests", "row_ids": f"{folder}/ids"}
    return Shard(**(names | values | {"batch": batch_id}))


def fetched(name: str, size: int) -> tuple[Fetched, ...]:
    """Answers of one file."""
    return (Fetched(file="file", name=name, size=size, rows=1),)


def facts_of(outcome: Outcome) -> dict[str, Any]:
    """What an outcome remembers, of whichever kind of item."""
    return dict(outcome.facts)


def get_batch(store: Store, batch_id: str = "b") -> Batch:
    """A batch that is there."""
    batch = store.get_batch(batch_id)
    assert batch is not None
    return batch


def put_shards(store: Store, *shards: Shard, batch: Batch | None = None) -> list[Shard]:
    """A running batch with these shards, as `convert` leaves it."""
    batch = batch or new_batch(shards[0].batch, provider=shards[0].provider)
    store.create(batch, delay=0)
    store.claim(batch.id, 1, lease=10, holder="w")
    commit = Commit(State.RUNNING, None, {"rows": sum(shard.rows for shard in shards)}, shards)
    store.commit(batch.id, 2, commit, holder="w")
    running = store.get_batch(batch.id)
    assert running is not None
    return store.get_shards(running)
