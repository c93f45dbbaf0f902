"""The numbers of the store's contract: they are those of the items, over every implementation."""

import time
from collections import Counter
from typing import Any

from batch_router.state.base import Commit, Reopened, Store
from batch_router.state.census import Standing, Total
from batch_router.state.items import Notice
from batch_router.state.table import State
from tests.items import get_batch, new_batch, new_shard, put_shards

ROWS = Total("rows", "openai", "succeeded")


def step(store: Store, item_id: str, state: State, **more: Any) -> None:
    """A step that ends in a state."""
    item = store.get_shard(item_id) if "." in item_id else store.get_batch(item_id)
    assert item is not None
    assert store.claim(item_id, item.version, lease=10, holder="w")
    assert store.commit(item_id, item.version + 1, Commit(state, 0, {}, **more), holder="w")


def standing(store: Store) -> dict[str, int]:
    """Where there is something: `kind provider queue state`."""
    found = store.census().items
    return {" ".join([each[0], each[1], each[2] or "-", each[3]]): number for each, number in found.items() if number}


def test_each_item_is_counted_where_it_stands(store: Store) -> None:
    """From its making to its deletion, also one that another item's commit makes, moves or deletes."""
    put_shards(store, new_shard("b"), new_shard("b", queue="gpu.small"))
    assert standing(store) == {
        "batch openai - running": 1,
        "shard openai - uploading": 1,
        "shard openai gpu.small uploading": 1,
    }
    step(store, "b.0", State.CREATING, spawn=[Notice(batch="b", state=State.NOTIFYING, provider="openai")])
    step(store, "b.0", State.NORMALIZING)
    step(store, "b.0", State.CLEANING)
    step(store, "b.0", State.COMPLETED)
    step(store, "b.1", State.NORMALIZING)
    step(store, "b.1", State.FAILED)
    ended = {"shard openai - completed": 1, "shard openai gpu.small failed": 1, "notice openai - notifying": 1}
    assert standing(store) == {"batch openai - finishing": 1} | ended
    step(store, "b", State.COMPLETED)
    shard = store.get_shard("b.1")
    assert shard is not None
    assert store.reopen(get_batch(store), Commit(State.RUNNING, None, {}), [Reopened(shard, State.NORMALIZING, {})])
    assert standing(store) == {"batch openai - running": 1, "shard openai gpu.small normalizing": 1} | {
        name: number for name, number in ended.items() if "failed" not in name
    }
    step(store, "b.1", State.FAILED)
    step(store, "b", State.FAILED, forget=True)
    assert standing(store) == {"batch openai - failed": 1}
    assert store.census().batches[("openai", "failed")] == 1
    assert store.delete(get_batch(store))
    assert standing(store) == {}
    assert not any(store.census().batches.values())


def test_totals_grow_with_the_commit_alone(store: Store) -> None:
    """A commit that is repeated, or comes too late, adds nothing; a purge takes nothing away."""
    store.create(new_batch(), delay=0)
    store.claim("b", 1, lease=10, holder="w")
    commit = Commit(State.FAILED, None, {}, tally={ROWS: 3, ROWS._replace(name="cost"): 0.25})
    assert store.commit("b", 2, commit, holder="other") is None
    for _ in range(2):
        assert store.commit("b", 2, commit, holder="w") is not None
    assert store.delete(get_batch(store))
    assert store.census().totals == {ROWS: 3, ROWS._replace(name="cost"): 0.25}


def test_a_claim_after_a_crash_is_a_recovery(store: Store) -> None:
    """The claim of an item that a worker let go of, or committed, is none."""
    store.create(new_batch(), delay=0)
    store.claim("b", 1, lease=10, holder="w")
    store.let_go("b", holder="w")
    store.claim("b", 2, lease=10, holder="w")
    assert store.census().totals == {}
    store.claim("b", 3, lease=10, holder="other")
    store.claim("b", 3, lease=10, holder="other")  # the reply was lost
    assert store.census().totals == {Total("recoveries", "openai", "queued"): 1}


def test_what_is_overdue_is_counted_and_left_where_it_is(store: Store) -> None:
    """All of it, since when the first is, and where the first ones stand; what is due later is not overdue."""
    assert (store.census().overdue, store.census().oldest_overdue) == (0, 0)
    store.create(new_batch("a"), delay=0)
    time.sleep(0.02)
    store.create(new_batch("b", queue="gpu"), delay=0)
    store.create(new_batch("c"), delay=60)
    time.sleep(0.002)
    for _ in range(2):
        census = store.census()
        assert census.overdue == 2
        assert 0.02 <= census.oldest_overdue < 60
        places = [Standing("batch", "openai", queue, State.QUEUED) for queue in (None, "gpu")]
        assert Counter(census.first_overdue) == Counter(places)
    assert len(store.take_due(9, grace=5)) == 2
    assert store.census().overdue == 0
    for _ in range(3):
        store.suspect("c", "odd")
    assert store.census().quarantined == 1
