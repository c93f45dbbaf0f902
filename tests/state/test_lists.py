"""The lists of the store's contract: what is asked for is found, whatever else there is, over every implementation."""

from typing import Any

import msgspec

from batch_router.core import BatchStatus
from batch_router.core.jobs import Account, Job
from batch_router.state.base import Commit, Place, Store, Which
from batch_router.state.items import Intent, Shard
from batch_router.state.table import State
from tests.items import get_batch, new_batch, new_shard, put_shards

ACCOUNT = Account(service="openai@host", credential="a")


def step(store: Store, item_id: str, state: State, **facts: Any) -> None:
    """A step that ends in a state."""
    item = store.get_shard(item_id) if "." in item_id else store.get_batch(item_id)
    assert item is not None
    store.claim(item_id, item.version, lease=10, holder="w")
    done = store.commit(item_id, item.version + 1, Commit(state, 0, facts), holder="w")  # type: ignore[arg-type]
    assert done is not None


def ids(store: Store, **which: Any) -> list[str]:
    return [batch.id for batch in store.iter_batches(Which(**which))]


def test_batches_are_found_by_provider_and_status(store: Store) -> None:
    """Each is in the lists that fit it at this moment, and in no others."""
    for batch_id, provider in (("a", "openai"), ("b", "google"), ("c", "openai")):
        store.create(new_batch(batch_id, provider=provider), delay=0)
    step(store, "a", State.RUNNING)
    assert ids(store, status=BatchStatus.QUEUED, provider="openai") == ["c"]
    assert ids(store, status=BatchStatus.IN_PROGRESS) == ids(store, status=BatchStatus.IN_PROGRESS, provider="openai")
    store.cancel("a")
    assert ids(store, status=BatchStatus.CANCELLING) == ["a"]
    step(store, "a", State.FINISHING)
    step(store, "a", State.CANCELLED)
    found = {status: ids(store, status=status) for status in BatchStatus}
    assert {status: each for status, each in found.items() if each} == {
        BatchStatus.QUEUED: found[BatchStatus.QUEUED],
        BatchStatus.CANCELLED: ["a"],
    }
    assert sorted(found[BatchStatus.QUEUED]) == ["b", "c"]
    assert ids(store, status=BatchStatus.CANCELLED, provider="google") == []
    assert sorted(ids(store, provider="openai")) == ["a", "c"]
    assert store.delete(get_batch(store, "a"))
    assert sorted(ids(store)) == ["b", "c"]
    assert ids(store, status=BatchStatus.CANCELLED) == ids(store, prefix="a") == []


def test_batches_are_found_by_the_beginning_of_their_ids(store: Store) -> None:
    """Also together with a provider and a status, and a prefix may be a whole id."""
    for batch_id in ("run-1", "run-10", "run-2", "Run-1", "run_1"):
        store.create(new_batch(batch_id, provider="google" if batch_id == "run-2" else "openai"), delay=0)
    assert sorted(ids(store, prefix="run-")) == ["run-1", "run-10", "run-2"]
    assert sorted(ids(store, prefix="run-1")) == ["run-1", "run-10"]
    assert ids(store, prefix="run-", provider="google") == ["run-2"]
    step(store, "run-10", State.RUNNING)
    assert ids(store, prefix="run-1", status=BatchStatus.IN_PROGRESS) == ["run-10"]
    assert ids(store, prefix="nothing") == []


def test_a_batch_is_parked_with_one_of_its_shards(store: Store) -> None:
    """Once, however many of them are, until none is."""
    put_shards(store, *(new_shard("b") for _ in range(3)))
    put_shards(store, new_shard("other"))
    for number in (0, 2):
        step(store, f"b.{number}", State.CREATING)
        step(store, f"b.{number}", State.PARKED)
    assert ids(store, status=BatchStatus.PARKED) == ids(store, status=BatchStatus.PARKED, prefix="b") == ["b"]
    assert ids(store, status=BatchStatus.PARKED, prefix="o") == []
    for number in (0, 2):
        shard = store.get_shard(f"b.{number}")
        assert shard is not None
        assert store.decide(shard, Commit(State.UPLOADING, 0, {}), holder="w")
    assert ids(store, status=BatchStatus.PARKED) == []


def test_batches_that_ended_are_found_by_their_end(store: Store) -> None:
    """Those that ended first come first; those that go on are not among them."""
    for batch_id in ("first", "second", "open"):
        store.create(new_batch(batch_id), delay=0)
    for batch_id in ("first", "second"):
        step(store, batch_id, State.FINISHING)
        step(store, batch_id, State.COMPLETED)
    assert {batch.id for batch in store.iter_ended(store.now() + 60)} == {"first", "second"}
    assert list(store.iter_ended(store.now() - 60)) == []
    store.delete(get_batch(store, "first"))
    assert [batch.id for batch in store.iter_ended(store.now() + 60)] == ["second"]


def test_the_accounts_of_batches_are_known(store: Store) -> None:
    """Each provider with each credential, once."""
    for number, (provider, credential) in enumerate((("openai", None), ("openai", "team/a"), ("openai", None))):
        store.create(new_batch(f"b{number}", provider=provider, credential=credential), delay=0)
    assert store.accounts() == {("openai", None), ("openai", "team/a")}


def test_a_shard_without_a_job_is_known_by_its_label(store: Store) -> None:
    """Until it has a job, or has ended, or its batch is gone."""
    labels = [f"{number:016x}" for number in range(4)]
    put_shards(store, *(new_shard("b", label=label) for label in labels))
    job = Job(id="j", status=BatchStatus.IN_PROGRESS, created_at=0)
    step(store, "b.1", State.POLLING, job=job, account=ACCOUNT)
    step(store, "b.2", State.FAILED)
    assert store.undecided([*labels, "f" * 16]) == {labels[0], labels[3]}
    assert store.undecided([labels[1]]) == store.undecided([]) == set()


def in_flight(store: Store, **changes: Any) -> Shard:
    """A shard of a batch of its own, which is creating its job."""
    shard = msgspec.structs.replace(new_shard(f"b{len(ids(store))}"), **changes)
    (stored,) = put_shards(store, shard)
    step(store, stored.id, State.CREATING, account=ACCOUNT, intent=Intent(at=0, late_until=0))
    return stored


def has_company(store: Store, shard: Shard) -> bool:
    return store.has_company(shard.id, ACCOUNT.name, shard.model)


def test_a_shard_has_company_while_another_has_a_job(store: Store) -> None:
    """Of the same account and model, from the intent to create it until it has ended."""
    one = in_flight(store)
    assert not has_company(store, one)
    other_model = in_flight(store, model="another/m:x")
    assert not has_company(store, one)
    other = in_flight(store)
    assert has_company(store, one)
    assert has_company(store, other)
    assert not store.has_company(one.id, "openai@host/b", one.model)
    step(store, other.id, State.POLLING, intent=None)
    assert has_company(store, one)
    step(store, other.id, State.DOWNLOADING)
    assert not has_company(store, one)
    assert has_company(store, other)
    step(store, one.id, State.CREATING, intent=None)
    assert not has_company(store, other)
    store.claim(one.id, 5, lease=10, holder="w")
    assert store.renew(one.id, 6, holder="w", lease=10, facts={"intent": Intent(at=0, late_until=0)})
    assert has_company(store, other)
    assert not has_company(store, other_model)


def test_a_list_begins_at_a_time_and_after_a_place(store: Store) -> None:
    """Page by page each batch comes once, also where several are of one millisecond; a prefix changes nothing of it."""
    times = {"a": 1000.0, "x1": 2000.001, "x2": 2000.0012, "x3": 2000.0015, "b": 3000.0}
    for batch_id, created_at in times.items():
        store.create(new_batch(batch_id, created_at=created_at), delay=0)
    assert ids(store, since=2000.0) == ["b", "x3", "x2", "x1"]
    assert ids(store, since=3000.0) == ["b"]
    everything = ["b", "x3", "x2", "x1", "a"]
    for number, batch_id in enumerate(everything):
        place = Place(times[batch_id], batch_id)
        assert ids(store, before=place) == everything[number + 1 :]
        in_status = ids(store, before=place, provider="openai", status=BatchStatus.QUEUED)
        assert in_status == everything[number + 1 :]
        begins = [each for each in everything[number + 1 :] if each.startswith("x")]
        assert ids(store, before=place, prefix="x") == begins
    assert ids(store, before=Place(2000.0015, "x3"), since=2000.0) == ["x2", "x1"]


def test_only_shards_that_wait_for_the_jobs_are_woken(store: Store) -> None:
    """Not what a worker has, what does something else, and what has another job."""
    put_shards(store, *(new_shard(label=f"{number:016x}") for number in range(4)))
    states = (State.POLLING, State.POLLING, State.DOWNLOADING, State.POLLING)
    for number, state in enumerate(states):
        store.claim(f"b.{number}", 1, lease=60, holder="w")
        store.renew(f"b.{number}", 2, holder="w", lease=60, facts={"account": ACCOUNT})
        job = Job(id=f"job-{number}", status=BatchStatus.IN_PROGRESS, created_at=0)
        store.commit(f"b.{number}", 2, Commit(state, 600, {"job": job}), holder="w")
    store.claim("b.1", 3, lease=60, holder="w")
    store.take_due(99, grace=60)
    store.wake_owners(ACCOUNT.name, ["job-0", "job-1", "job-2", "other"])
    assert [hint.id for hint in store.take_due(99, grace=60)] == ["b.0"]
