"""The store's contract, over every implementation."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import redis

from batch_router.core import BatchStatus
from batch_router.core.jobs import Account, Failure, Job
from batch_router.exceptions import SchemaError, StoreUnavailableError
from batch_router.state.base import Binding, Commit, Hint, Reopened, Store
from batch_router.state.checks import TRIES
from batch_router.state.events import Event
from batch_router.state.items import SCHEMA, Batch, InputFile, Intent, Notice, Shard
from batch_router.state.redis import RedisStore
from batch_router.state.table import FIRST_OF_SHARD, State
from batch_router.state.walks import Walk
from tests.items import get_batch

ACCOUNT = Account(service="openai@host", credential="a")
_prefixes = itertools.count()


def batch_record(batch_id: str = "b", model: str = "gpt-5-mini", schema: int = SCHEMA) -> Batch:
    rows = InputFile(stored=f"generated/openai/{batch_id}/input.jsonl", size=10, hash="00")
    return Batch(
        id=batch_id,
        state=State.QUEUED,
        provider="openai",
        model=model,
        input=rows,
        submission=f"generated/openai/{batch_id}/submission.json",
        schema=schema,
    )


def shard_record(number: int) -> Shard:
    return Shard(
        state=FIRST_OF_SHARD,
        provider="openai",
        batch="b",
        label=f"{number:016x}",
        model="gpt-5-mini",
        rows=2,
        size=20,
        first_row=2 * number,
        requests="generated/openai/b/r",
        row_ids="generated/openai/b/i",
    )


def split(store: Store, shards: int, batch_id: str = "b") -> None:
    """A batch that was cut into shards."""
    store.create(batch_record(batch_id), delay=0)
    store.claim(batch_id, 1, lease=10, holder="w")
    spawn = [shard_record(number) for number in range(shards)]
    store.commit(batch_id, 2, Commit(State.RUNNING, None, {"rows": 2 * shards}, spawn, grace=5), holder="w")


def end(store: Store, item_id: str) -> list[str]:
    """Take a fresh shard to its end; returns the items that this woke."""
    store.claim(item_id, 1, lease=10, holder="w")
    committed = store.commit(item_id, 2, Commit(State.COMPLETED, None, {}), holder="w")
    assert committed is not None
    return [hint.id for hint in committed.woken]


def test_a_batch_is_created_once(store: Store) -> None:
    """An id that is taken is refused, and what is there stays."""
    assert store.create(batch_record("b"), delay=5)
    assert not store.create(batch_record(model="other"), delay=5)
    batch = store.get_batch("b")
    assert batch is not None
    assert (batch.model, batch.state, batch.version) == ("gpt-5-mini", State.QUEUED, 1)


def test_a_claim_needs_the_current_version(store: Store) -> None:
    """Of two messages about the same version one gets the item, the other nothing."""
    store.create(batch_record("b"), delay=5)
    item = store.claim("b", 1, lease=10, holder="first")
    assert item is not None
    assert (item.version, item.claimed_by) == (2, "first")
    assert store.claim("b", 1, lease=10, holder="second") is None


def test_a_claim_whose_reply_was_lost_can_be_repeated(store: Store) -> None:
    """The same holder asking again gets the same claim, and no further version is used up."""
    store.create(batch_record("b"), delay=5)
    first = store.claim("b", 1, lease=10, holder="w")
    assert store.claim("b", 1, lease=10, holder="w") == first


def test_many_claims_at_once_give_one_winner(store: Store) -> None:
    """Twenty threads with the same hint: one of them works, nineteen do not."""
    store.create(batch_record("b"), delay=5)
    with ThreadPoolExecutor(20) as pool:
        claims = list(pool.map(lambda n: store.claim("b", 1, lease=10, holder=f"w{n}"), range(20)))
    assert len([claim for claim in claims if claim]) == 1


def test_unknown_items_are_nobodys(store: Store) -> None:
    """What does not exist cannot be claimed, renewed, committed or cancelled."""
    assert store.claim("x", 1, lease=10, holder="w") is None
    assert not store.renew("x", 1, holder="w", lease=10, facts={})
    assert store.commit("x", 1, Commit(State.RUNNING, None, {}), holder="w") is None
    assert not store.cancel("x")
    assert store.get_batch("x") is None


def test_only_what_has_ended_is_forgotten(store: Store) -> None:
    """With all its shards but the names of their jobs, and its id is free again; what goes on stays as it is."""
    split(store, 2)
    store.create(batch_record("other"), delay=0)
    assert not store.delete(get_batch(store))
    store.claim("b.0", 1, lease=10, holder="w")
    job = Job(id="job-7", status=BatchStatus.COMPLETED, created_at=0)
    store.renew("b.0", 2, holder="w", lease=10, facts={"account": ACCOUNT})
    store.commit("b.0", 2, Commit(State.COMPLETED, None, {"job": job}), holder="w")
    end(store, "b.1")
    batch = store.get_batch("b")
    assert batch is not None
    store.claim("b", batch.version, lease=10, holder="w")
    store.commit("b", batch.version + 1, Commit(State.COMPLETED, None, {}), holder="w")
    seen = get_batch(store)
    assert not store.delete(msgspec.structs.replace(seen, created_at=seen.created_at - 1))
    assert store.delete(seen)
    assert not store.delete(seen)
    assert (store.get_batch("b"), store.get_shard("b.0"), store.get_shard("b.1")) == (None, None, None)
    assert [batch.id for batch in store.iter_batches()] == ["other"]
    assert store.owned_jobs("openai@host/a", ["job-7", "job-8"]) == {"job-7"}
    assert store.create(batch_record("b"), delay=0)


@pytest.mark.parametrize(("schema", "words"), [(SCHEMA + 1, "a newer"), (SCHEMA - 1, "an older")])
def test_what_another_version_made_is_left_alone(store: Store, schema: int, words: str) -> None:
    """A worker neither claims it nor takes it as due, a list leaves it out; reading it says what to do."""
    store.create(batch_record("foreign", schema=schema), delay=0)
    store.create(batch_record("ours"), delay=0)
    assert [hint.id for hint in store.take_due(9, grace=0)] == ["ours"]
    assert store.claim("foreign", 1, lease=10, holder="w") is None
    assert store.claim("ours", 1, lease=10, holder="w") is not None
    assert [batch.id for batch in store.iter_batches()] == ["ours"]
    assert store.foreign_items(9) == ["foreign"]
    with pytest.raises(SchemaError, match=f"foreign was made by {words} batch_router; "):
        store.get_batch("foreign")


def test_the_jobs_of_an_account_are_known(store: Store) -> None:
    """A commit that brings a job notes it for its account; a look needs no other item."""
    split(store, 1)
    store.claim("b.0", 1, lease=10, holder="w")
    job = Job(id="job-1", status=BatchStatus.IN_PROGRESS, created_at=0)
    store.renew("b.0", 2, holder="w", lease=10, facts={"account": ACCOUNT})
    store.commit("b.0", 2, Commit(State.POLLING, None, {"job": job}), holder="w")
    assert store.owned_jobs("openai@host/a", ["job-0", "job-1"]) == {"job-1"}
    assert store.owned_jobs("openai@host/a", []) == store.owned_jobs("openai@host", ["job-1"]) == set()


def test_jobs_whose_answers_are_not_all_here_are_known(store: Store) -> None:
    """A commit says so, another takes it back; what is purged stays known, for its answers may be paid for."""
    split(store, 2)
    for number in range(2):
        store.claim(f"b.{number}", 1, lease=10, holder="w")
        job = Job(id=f"job-{number}", status=BatchStatus.COMPLETED, created_at=0)
        store.renew(f"b.{number}", 2, holder="w", lease=10, facts={"account": ACCOUNT})
        store.commit(f"b.{number}", 2, Commit(State.NORMALIZING, 0, {"job": job}), holder="w")
        assert store.unfetched_jobs_of("openai@host/a") == set()
    for number in range(2):
        store.claim(f"b.{number}", 3, lease=10, holder="w")
        store.commit(f"b.{number}", 4, Commit(State.CLEANING, 0, {"unfetched": True}), holder="w")
    assert store.unfetched_jobs_of("openai@host/a") == {"job-0", "job-1"}
    store.claim("b.1", 5, lease=10, holder="w")
    store.commit("b.1", 6, Commit(State.CLEANING, 0, {"unfetched": False}), holder="w")
    assert store.unfetched_jobs_of("openai@host/a") == {"job-0"}
    assert store.unfetched_jobs_of("openai@host") == set()


def test_a_pause_holds_for_its_account_alone(store: Store) -> None:
    """The longest of several counts, and it ends by itself."""
    store.pause("openai/", 30)
    store.pause("openai/", 5)
    assert 25 < store.paused("openai/") <= 30
    assert store.paused("openai/team-a") == 0
    store.pause("google/", 0.001)
    time.sleep(0.01)
    assert store.paused("google/") == 0


def test_a_fenced_worker_changes_nothing(store: Store) -> None:
    """After another worker's claim, the former holder can neither renew nor commit."""
    store.create(batch_record("b"), delay=5)
    store.claim("b", 1, lease=10, holder="slow")
    store.claim("b", 2, lease=10, holder="next")
    assert not store.renew("b", 2, holder="w", lease=10, facts={"rows": 7})
    assert store.commit("b", 2, Commit(State.RUNNING, None, {"rows": 7}), holder="slow") is None
    batch = store.get_batch("b")
    assert batch is not None
    assert (batch.rows, batch.version, batch.crashes) == (None, 3, 1)


def test_renewing_remembers_facts(store: Store) -> None:
    """What a renewal carries (the intent to create a job) is there for the next claim."""
    split(store, 1)
    store.claim("b.0", 1, lease=10, holder="w")
    assert store.renew("b.0", 2, holder="w", lease=10, facts={"intent": Intent(at=1.0, late_until=2.0)})
    item = store.claim("b.0", 2, lease=10, holder="other")
    assert item is not None
    assert item.intent.at == 1.0  # type: ignore[union-attr]


def test_a_commit_whose_reply_was_lost_can_be_repeated(store: Store) -> None:
    """The same holder committing again is told the same version, and nothing happens twice."""
    split(store, 1)
    store.claim("b.0", 1, lease=10, holder="w")
    commit = Commit(State.COMPLETED, None, {})
    first = store.commit("b.0", 2, commit, holder="w")
    again = store.commit("b.0", 2, commit, holder="w")
    assert first is not None
    assert again is not None
    assert first.version == again.version == 3
    batch = store.get_batch("b")
    assert batch is not None
    assert batch.open == 0


def test_a_commit_spawns_its_shards(store: Store) -> None:
    """Shards come into being with their batch's commit, in the state that starts their road."""
    split(store, 3)
    batch = store.get_batch("b")
    assert batch is not None
    assert (batch.state, batch.shards, batch.open, batch.rows) == (State.RUNNING, 3, 3, 6)
    shards = store.get_shards(batch)
    assert [(s.id, s.state, s.version, s.batch) for s in shards] == [
        (f"b.{n}", State.UPLOADING, 1, "b") for n in range(3)
    ]
    assert store.get_shard("b.1") == shards[1]


def test_the_last_shard_wakes_its_batch(store: Store) -> None:
    """The batch moves on to `finishing` when its last shard ends, and not before."""
    split(store, 2)
    assert end(store, "b.0") == []
    assert end(store, "b.1") == ["b"]
    batch = store.get_batch("b")
    assert batch is not None
    assert (batch.state, batch.open) == (State.FINISHING, 0)
    assert store.claim("b", batch.version, lease=10, holder="w") is not None


def test_what_is_due_is_handed_out_once_per_grace(store: Store) -> None:
    """Two sweeps in a row do not get the same item."""
    store.create(batch_record("b"), delay=0)
    assert [(h.id, h.version, h.state, h.provider) for h in store.take_due(10, grace=60)] == [
        ("b", 1, State.QUEUED, "openai")
    ]
    assert store.take_due(10, grace=60) == []


def test_a_claimed_item_is_due_at_the_end_of_its_lease(store: Store) -> None:
    """A live lease keeps the sweep away; one that ran out brings it, at the fence's version."""
    store.create(batch_record("b"), delay=0)
    store.claim("b", 1, lease=60, holder="w")
    assert store.take_due(10, grace=60) == []
    store.renew("b", 2, holder="w", lease=0, facts={})
    assert [(h.id, h.version) for h in store.take_due(10, grace=60)] == [("b", 2)]


def test_final_items_are_never_due(store: Store) -> None:
    """What has ended is not handed out and cannot be claimed."""
    split(store, 1)
    end(store, "b.0")
    assert "b.0" not in [h.id for h in store.take_due(10, grace=60)]
    assert store.claim("b.0", 3, lease=10, holder="w") is None


def test_cancel_wakes_what_waits(store: Store) -> None:
    """A shard that waits for its next look is due at once, and its claim carries the flag."""
    split(store, 1)
    assert store.take_due(10, grace=60) == []
    assert store.cancel("b")
    assert [h.id for h in store.take_due(10, grace=60)] == ["b.0"]
    item = store.claim("b.0", 1, lease=10, holder="w")
    assert item is not None
    assert item.cancel


def test_cancel_during_a_step_is_seen_right_after(store: Store) -> None:
    """A step in progress is left alone, but its commit makes the item due at once, whatever delay it asked for."""
    split(store, 1)
    store.claim("b.0", 1, lease=60, holder="w")
    store.cancel("b")
    assert store.take_due(10, grace=60) == []
    store.commit("b.0", 2, Commit(State.POLLING, 600, {}), holder="w")
    assert [h.id for h in store.take_due(10, grace=60)] == ["b.0"]


def test_a_batch_that_has_ended_cannot_be_cancelled(store: Store) -> None:
    """Cancel says so, and changes nothing."""
    split(store, 1)
    end(store, "b.0")
    batch = store.get_batch("b")
    assert batch is not None
    store.claim("b", batch.version, lease=10, holder="w")
    store.commit("b", batch.version + 1, Commit(State.COMPLETED, None, {}), holder="w")
    assert not store.cancel("b")


def test_batches_are_listed_newest_first(store: Store) -> None:
    """All of them, in order of submission."""
    for name in ("one", "two", "three"):
        store.create(batch_record(name), delay=5)
    assert {batch.id for batch in store.iter_batches()} == {"one", "two", "three"}


def test_listeners_are_known_for_a_while(store: Store) -> None:
    """A worker that says it listens is listed until its time is over."""
    store.announce("w1", ["io", "poll"], ttl=60)
    store.announce("w2", ["io"], ttl=0)
    assert store.listeners("io") == ["w1"]
    assert store.listeners("gpu") == []


def test_the_first_storage_is_remembered(store: Store) -> None:
    """A store belongs to one storage, until it is bound again."""
    a, b = Binding("a", "/a"), Binding("b", "/b")
    assert store.bound_storage() is None
    assert store.bind_storage(a) == a
    assert store.bind_storage(b) == a
    assert store.bound_storage() == a
    assert store.bind_storage(b, again=True) == b
    assert store.bound_storage() == b


def test_a_server_that_is_away_is_named_as_such() -> None:
    """No answer becomes one typed error, not redis-py's."""
    client = redis.Redis(host="127.0.0.1", port=1, decode_responses=True, socket_connect_timeout=0.2)
    with client, pytest.raises(StoreUnavailableError, match="does not answer"):
        RedisStore(client).get_batch("b")


def test_items_of_another_version_hold_up_no_others(store: Store) -> None:
    """However many of them are overdue first, a look with a limit finds what comes after them."""
    for number in range(5):
        store.create(batch_record(f"foreign{number}", schema=SCHEMA + 1), delay=0)
    for number in range(3):
        store.create(batch_record(f"ours{number}"), delay=0)
    assert {hint.id for hint in store.take_due(2, grace=60)} | {hint.id for hint in store.take_due(2, grace=60)} == {
        "ours0",
        "ours1",
        "ours2",
    }
    assert store.take_due(2, grace=60) == []


class Uncounted(Shard, frozen=True, kw_only=True, tag="shard"):
    """A spawned item that its batch does not wait for."""

    counts_as_open = False


def test_a_batch_waits_only_for_what_counts(store: Store) -> None:
    """An item that does not count may end before the others, and after them: only the last that counts wakes it."""
    store.create(batch_record(), delay=0)
    store.claim("b", 1, lease=10, holder="w")
    facts = {name: getattr(shard_record(1), name) for name in Shard.__struct_fields__}
    spawn = [shard_record(0), Uncounted(**facts)]
    store.commit("b", 2, Commit(State.RUNNING, None, {"rows": 2}, spawn), holder="w")
    assert end(store, "b.1") == []
    assert end(store, "b.0") == ["b"]


def test_a_decision_makes_a_webhook(store: Store) -> None:
    """Of a batch that no step has, once for each decision; the notice says what happened, and why."""
    store.create(msgspec.structs.replace(batch_record("b"), webhook=True), delay=0)
    cause = Failure(type="create_unknown", message="looked twice")
    event = Event(key="k", type="shard.parked", shard="b.0", queue="gpu", cause=cause)
    notice = Notice(state=State.NOTIFYING, provider="openai", queue="io", batch="b", event=event)
    commit = Commit(State.QUEUED, 0, {"unattended": ("gpu",)}, [notice], grace=0)
    batch = get_batch(store)
    decided = store.decide(batch, commit, holder="d")
    assert decided is not None
    assert [hint.id for hint in decided.woken] == ["b.n0"]
    assert store.decide(batch, commit, holder="e") is None
    (found,) = store.get_notices(get_batch(store))
    assert (found.event, found.queue, get_batch(store).unattended) == (event, "io", ("gpu",))


def test_a_notice_holds_up_nothing_and_goes_with_its_batch(store: Store) -> None:
    """Notices have numbers of their own, are claimed like any item, end for good, and do not count as open."""
    split(store, 1)
    notices = [Notice(state=State.NOTIFYING, provider="openai", batch="b", callback=each, task="t") for each in (0, 1)]
    claimed = store.claim("b.0", 1, lease=10, holder="w")
    assert claimed is not None
    woken = store.commit("b.0", 2, Commit(State.COMPLETED, None, {}, notices, grace=5), holder="w")
    assert woken is not None
    assert [hint.id for hint in woken.woken] == ["b.n0", "b.n1", "b"]
    batch = get_batch(store)
    assert (batch.shards, batch.open, batch.notices, batch.state) == (1, 0, 2, State.FINISHING)
    assert [each.id for each in store.get_notices(batch)] == ["b.n0", "b.n1"]
    assert isinstance(store.claim("b.n0", 1, lease=10, holder="w"), Notice)
    ended = store.commit("b.n0", 2, Commit(State.COMPLETED, None, {"sent_at": 3.0}), holder="w")
    assert ended is not None
    assert ended.woken == []
    assert get_batch(store).state is State.FINISHING
    finishing = store.claim("b", get_batch(store).version, lease=10, holder="w")
    assert finishing is not None
    store.commit("b", finishing.version, Commit(State.COMPLETED, 99, {}), holder="w")
    assert store.get_notices(get_batch(store))
    assert store.delete(get_batch(store))
    assert store.unknown(["b", "b.0", "b.n0", "b.n1"]) == ["b", "b.0", "b.n0", "b.n1"]


def test_the_job_before_the_last_is_forgotten_with_its_batch(store: Store) -> None:
    """A shard whose job was refused took another: both are known, until the batch has been gone for long."""
    split(store, 1)
    for version, job_id in ((1, "first"), (3, "second")):
        store.claim("b.0", version, lease=10, holder="w")
        store.renew("b.0", version + 1, holder="w", lease=10, facts={"account": ACCOUNT})
        job = Job(id=job_id, status=BatchStatus.FAILED, created_at=0)
        store.commit("b.0", version + 1, Commit(State.POLLING, 0, {"job": job}), holder="w")
    assert store.owned_jobs("openai@host/a", ["first", "second"]) == {"first", "second"}


def test_a_claim_is_its_holders_alone(store: Store) -> None:
    """Another holder with the same number changes nothing: a store that forgot some writes gives a number twice."""
    store.create(batch_record("b"), delay=5)
    store.claim("b", 1, lease=10, holder="w")
    assert not store.renew("b", 2, holder="other", lease=10, facts={"rows": 7})
    assert store.commit("b", 2, Commit(State.RUNNING, None, {}), holder="other") is None
    assert store.renew("b", 2, holder="w", lease=10, facts={})


def test_a_claim_that_is_let_go_is_no_crash(store: Store) -> None:
    """Its item is due at once; where another worker has it by then, that one's count of crashes goes down again."""
    store.create(batch_record("b"), delay=5)
    store.claim("b", 1, lease=10, holder="w")
    store.let_go("b", holder="w")
    assert [hint.id for hint in store.take_due(5, grace=0)] == ["b"]
    second = store.claim("b", 2, lease=10, holder="second")
    assert second is not None
    assert second.crashes == 0
    third = store.claim("b", 3, lease=10, holder="third")
    assert third is not None
    assert third.crashes == 1
    store.let_go("b", holder="second")
    store.let_go("b", holder="w")
    batch = store.get_batch("b")
    assert batch is not None
    assert (batch.crashes, batch.claimed_by) == (0, "third")


def test_a_decision_is_for_an_item_that_no_worker_has(store: Store) -> None:
    """An operator's commit finds the version that it was made for, and no claim."""
    store.create(batch_record("b"), delay=5)
    decision = Commit(State.RUNNING, 0, {})
    before = get_batch(store)
    store.claim("b", 1, lease=10, holder="w")
    assert store.decide(before, decision, holder="operator") is None
    assert store.decide(get_batch(store), decision, holder="operator") is None
    store.commit("b", 2, Commit(State.QUEUED, 0, {}), holder="w")
    seen = get_batch(store)
    another = msgspec.structs.replace(seen, created_at=seen.created_at - 1)
    assert store.decide(another, decision, holder="operator") is None
    assert store.decide(seen, decision, holder="operator")
    assert store.commit("b", 4, decision, holder="operator") is None


def test_an_item_of_the_same_epoch_is_in_no_doubt(store: Store) -> None:
    """Nothing was forgotten since its last commit."""
    split(store, 1)
    shard = store.claim("b.0", 1, lease=10, holder="w")
    assert shard is not None
    assert shard.doubt_since is None


def renewed(store: Store) -> None:
    """From here on the store may have forgotten what was last said."""
    if isinstance(store, RedisStore):
        store._epoch = "another"
    else:
        store.epoch = "another"  # type: ignore[attr-defined]


def test_an_item_of_another_epoch_is_in_doubt(store: Store) -> None:
    """Its first claim says since when the epoch is known; the doubt stays until a commit ends it."""
    split(store, 2)
    renewed(store)
    store.announce("w", ["io"], ttl=5)
    met = store.now()
    shard = store.claim("b.0", 1, lease=10, holder="w")
    assert shard is not None
    assert shard.doubt_since is not None
    assert abs(shard.doubt_since - met) < 1
    store.commit("b.0", 2, Commit(State.CREATING, 0, {}), holder="w")
    again = store.claim("b.0", 3, lease=10, holder="w")
    assert again is not None
    assert again.doubt_since == shard.doubt_since
    store.commit("b.0", 4, Commit(State.UPLOADING, 0, {"doubt_since": None}), holder="w")
    last = store.claim("b.0", 5, lease=10, holder="w")
    assert last is not None
    assert last.doubt_since is None


def test_a_clean_restart_goes_on_with_the_epoch(valkey: str) -> None:
    """A server that ended in good order forgot nothing; after one that did not, everything is in doubt."""
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        prefix = f"contract{next(_prefixes)}:"
        store = RedisStore(client, prefix, epoch="first")
        split(store, 2)
        store.end_run("a word")
        second = RedisStore(client, prefix, epoch="second")
        second.go_on("a word")
        second.end_run("another")
        third = RedisStore(client, prefix, epoch="third")
        third.go_on("another")
        kept = third.claim("b.0", 1, lease=10, holder="w")
        assert kept is not None
        assert kept.doubt_since is None
        fourth = RedisStore(client, prefix, epoch="fourth")
        fourth.go_on("another")
        doubted = fourth.claim("b.1", 1, lease=10, holder="w")
        assert doubted is not None
        assert doubted.doubt_since is not None


def test_the_epoch_of_a_server_is_its_run(valkey: str) -> None:
    """Without a word about it, the server's own run id is the epoch."""
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        store = RedisStore(client, prefix=f"contract{next(_prefixes)}:")
        store.create(batch_record("b"), delay=0)
        batch = store.get_batch("b")
        assert batch is not None
        assert batch.epoch == client.info("server")["run_id"]


def next_hints(store: Store, grace: float = 0) -> list[Hint]:
    """What is handed out next; at a grace of 0, what was handed out is due again a millisecond later."""
    while not (hints := store.take_due(9, grace=grace)):
        time.sleep(0.001)
    return hints


def test_what_is_due_for_longest_comes_first(store: Store) -> None:
    """A look takes as many as it wants, and what it was handed goes to the end of the line."""
    for number in range(4):
        store.create(batch_record(f"b{number}"), delay=0)
        time.sleep(0.002)
    looks = [[hint.id for hint in store.take_due(2, grace=0.001)] for _ in range(2)]
    assert looks == [["b0", "b1"], ["b2", "b3"]]
    time.sleep(0.005)
    assert [hint.id for hint in store.take_due(2, grace=60)] == ["b0", "b1"]


def test_what_cannot_be_read_is_set_aside(store: Store) -> None:
    """After some tries it is due no more, and listed with the reason; it is due again once it is let out."""
    store.create(batch_record(), delay=0)
    assert [store.suspect("b", "no reason") for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]
    assert store.take_due(9, grace=0) == []
    assert store.claim("b", 1, lease=10, holder="w") is None
    (found,) = store.quarantined(9)
    assert (found.id, found.reason) == ("b", "no reason")
    assert found.since == pytest.approx(store.now(), abs=60)
    batch = store.get_batch("b")
    assert batch is not None
    assert store.quarantined_of(batch) == [found]
    assert store.release("b") == ["b"]
    assert (store.quarantined(9), store.release("b")) == ([], [])
    assert [hint.id for hint in store.take_due(9, grace=0)] == ["b"]
    assert not store.suspect("b", "counted from the start")


def test_a_batch_leaves_the_quarantine_with_its_shards(store: Store) -> None:
    """Only what was in it; what waits for nothing does not become due; and a purge takes what is left there along."""
    split(store, 3)
    end(store, "b.2")
    for item_id in ("b.1", "b.2"):
        for _ in range(TRIES):
            store.suspect(item_id, "?")
    assert store.release("b.1") == ["b.1"]
    assert store.release("b") == ["b.2"]
    store.cancel("b")
    assert {hint.id for hint in store.take_due(9, grace=60)} == {"b.0", "b.1"}
    for _ in range(TRIES):
        store.suspect("b.2", "?")
    end(store, "b.0")
    end(store, "b.1")
    batch = store.get_batch("b")
    assert batch is not None
    store.claim("b", batch.version, lease=10, holder="w")
    store.commit("b", batch.version + 1, Commit(State.COMPLETED, None, {}), holder="w")
    assert [found.id for found in store.quarantined(9)] == ["b.2"]
    assert store.delete(get_batch(store))
    assert store.quarantined(9) == []


def test_what_is_held_back_comes_back_ever_more_rarely(store: Store) -> None:
    """The pause doubles each time, for this item alone, and a change of hands starts from the beginning."""
    store.create(batch_record("held"), delay=0)
    for times in range(12):
        hints = next_hints(store)
        assert [hint.held_back for hint in hints] == [times]
        store.hold_back(hints)
    store.create(batch_record("other"), delay=0)
    assert {hint.id for hint in next_hints(store, grace=0.02)} <= {"held", "other"}
    handed_out = [hint.id for _ in range(3) for hint in next_hints(store, grace=0.02)]  # 0.02 s, and 80 s
    assert handed_out.count("held") <= 1
    assert handed_out.count("other") >= 2
    store.claim("held", 1, lease=0, holder="w")
    assert {hint.held_back for _ in range(3) for hint in next_hints(store) if hint.id == "held"} == {0}
    store.hold_back([Hint("held", 1, State.QUEUED, "openai")])
    assert {hint.held_back for _ in range(3) for hint in next_hints(store) if hint.id == "held"} == {0}


def test_only_what_ends_a_batch_is_urgent(store: Store) -> None:
    """A batch whose time is over, and what waits in one that is to be cancelled; nothing else."""
    split(store, 1)
    late = msgspec.structs.replace(batch_record("late"), timeout=0.0)
    for batch in (batch_record("early"), late):
        store.create(batch, delay=0)
    store.create(batch_record("over"), delay=0)
    store.claim("over", 1, lease=10, holder="w")
    store.commit("over", 2, Commit(State.RUNNING, 0, {"rows": 0}), holder="w")
    assert {hint.id: hint.urgent for hint in next_hints(store)} == {"early": False, "late": True, "over": True}
    store.cancel("b")
    assert {hint.id: hint.urgent for _ in range(3) for hint in next_hints(store)}["b.0"]


JOBS = [Job(id=f"job-{number}", status=BatchStatus.IN_PROGRESS, created_at=0, rows=2) for number in range(3)]


def test_one_walk_at_a_time(store: Store) -> None:
    """While the claim under which a worker walks through an account holds, no other item's worker begins to."""
    split(store, 2)
    for name in ("b.0", "b.1"):
        store.claim(name, 1, lease=60, holder="w")
    began_at = store.begin_walk("a", "b.0", 2)
    assert began_at is not None
    assert abs(began_at - store.now()) < 10
    assert store.begin_walk("a", "b.1", 2) is None
    assert store.begin_walk("another", "b.1", 2) is not None
    assert store.begin_walk("a", "b.0", 2) is not None


def test_a_walk_ends_with_its_claim(store: Store) -> None:
    """A worker that died while it walked holds up nobody for longer than its lease; nor does one that committed."""
    split(store, 2)
    for name in ("b.0", "b.1"):
        store.claim(name, 1, lease=60, holder="w")
    store.begin_walk("a", "b.0", 2)
    store.renew("b.0", 2, holder="w", lease=0, facts={})
    assert store.begin_walk("a", "b.1", 2) is not None
    store.commit("b.1", 2, Commit(State.POLLING, 0, {}), holder="w")
    assert store.begin_walk("a", "b.0", 2) is not None


def test_what_a_walk_found_is_there_for_all(store: Store) -> None:
    """Each asks for what concerns it; the next walk takes its place, and one that was overtaken changes nothing."""
    split(store, 2)
    for name in ("b.0", "b.1"):
        store.claim(name, 1, lease=60, holder="w")
    assert store.get_walk("a", ["label:x"]) is None
    store.begin_walk("a", "b.0", 2)
    store.end_walk("a", "b.0", Walk(7.5, 3.5), {"label:x": JOBS[:1], "rows:2": JOBS[1:]})
    assert store.get_walk("a", ["label:x", "label:y"]) == Walk(7.5, 3.5, tuple(JOBS[:1]))
    assert store.get_walk("a", ["rows:2", "label:x"]) == Walk(7.5, 3.5, (*JOBS[1:], JOBS[0]))
    assert store.begin_walk("a", "b.1", 2) is not None
    store.end_walk("a", "b.0", Walk(1, 1), {})
    assert store.get_walk("a", []) == Walk(7.5, 3.5)
    store.end_walk("a", "b.1", Walk(9, 2), {})
    assert store.get_walk("a", ["label:x"]) == Walk(9, 2)


def test_labels_are_remembered(store: Store) -> None:
    """By account and job; that a job has none of ours is remembered, too."""
    assert store.get_labels("a", ["job-1"]) == {}
    store.note_labels("a", {"job-1": "x", "job-2": ""})
    store.note_labels("a", {"job-3": "y"})
    assert store.get_labels("a", ["job-3", "job-2", "job-9"]) == {"job-3": "y", "job-2": ""}
    assert store.get_labels("a", []) == store.get_labels("another", ["job-1"]) == {}


def ended(store: Store, *states: State) -> Batch:
    """A batch whose shards ended in these states, and which then failed."""
    split(store, len(states))
    for number, state in enumerate(states):
        store.claim(f"b.{number}", 1, lease=10, holder="w")
        store.commit(f"b.{number}", 2, Commit(state, None, {}), holder="w")
    batch = get_batch(store)
    store.claim("b", batch.version, lease=10, holder="w")
    store.commit("b", batch.version + 1, Commit(State.FAILED, 600, {"manifest": "generated/openai/b/m"}), holder="w")
    return get_batch(store)


def test_an_ended_batch_goes_on_with_the_shards_that_are_named(store: Store) -> None:
    """They are due, counted as open and at a new version; the last one to end moves the batch to `finishing` again."""
    batch = ended(store, State.COMPLETED, State.FAILED, State.FAILED)
    shards = [Reopened(shard, State.POLLING, {"lost": 0}) for shard in store.get_shards(batch)[1:]]
    hints = store.reopen(batch, Commit(State.RUNNING, None, {"failure": None}), shards)
    assert [(hint.id, hint.state) for hint in hints or ()] == [
        ("b", State.RUNNING),
        ("b.1", State.POLLING),
        ("b.2", State.POLLING),
    ]
    batch = get_batch(store)
    assert (batch.state, batch.open, batch.manifest) == (State.RUNNING, 2, "generated/openai/b/m")
    assert {hint.id for hint in store.take_due(9, grace=60)} == {"b.1", "b.2"}
    for number in (1, 2):
        store.claim(f"b.{number}", 4, lease=10, holder="w")
        store.commit(f"b.{number}", 5, Commit(State.COMPLETED, None, {}), holder="w")
    assert (get_batch(store).state, get_batch(store).open) == (State.FINISHING, 0)


def test_nothing_is_taken_up_of_what_changed(store: Store) -> None:
    """Another version or birth of the batch or of one shard: then all of them stay as they are."""
    batch = ended(store, State.FAILED, State.FAILED)
    first, second = store.get_shards(batch)

    def reopen(batch: Batch, shard: Shard) -> bool:
        moved = [Reopened(each, State.POLLING, {}) for each in (first, shard)]
        return store.reopen(batch, Commit(State.RUNNING, None, {}), moved) is not None

    for change in ({"version": 9}, {"created_at": 1.0}):
        assert not reopen(msgspec.structs.replace(batch, **change), second)
        assert not reopen(batch, msgspec.structs.replace(second, **change))
    assert store.get_shards(get_batch(store)) == [first, second]
    assert reopen(batch, second)
    assert not reopen(batch, second)


def test_a_batch_that_is_cut_again_has_no_shards_and_is_in_doubt(store: Store) -> None:
    """The numbers of its shards begin anew, and their jobs are nobody's: they are looked for."""
    split(store, 1)
    store.claim("b.0", 1, lease=10, holder="w")
    job = Job(id="job-7", status=BatchStatus.COMPLETED, created_at=0)
    store.commit("b.0", 2, Commit(State.FAILED, None, {"account": ACCOUNT, "job": job}), holder="w")
    batch = get_batch(store)
    store.claim("b", batch.version, lease=10, holder="w")
    store.commit("b", batch.version + 1, Commit(State.FAILED, 600, {}), holder="w")
    batch = get_batch(store)
    assert store.owned_jobs(ACCOUNT.name, ["job-7", "job-8"]) == {"job-7"}
    assert store.reopen(batch, Commit(State.QUEUED, 0, {}, forget=True), [])
    again = get_batch(store)
    assert (again.state, again.shards, again.open, store.get_shards(again)) == (State.QUEUED, 0, 0, [])
    assert again.doubt_since is not None
    assert (store.get_shard("b.0"), store.owned_jobs(ACCOUNT.name, ["job-7"])) == (None, set())
    claimed = store.claim("b", again.version, lease=10, holder="w")
    assert claimed is not None
    store.commit("b", claimed.version, Commit(State.RUNNING, None, {}, [shard_record(0)]), holder="w")
    assert [shard.id for shard in store.get_shards(get_batch(store))] == ["b.0"]


def test_a_step_lets_go_of_shards(store: Store) -> None:
    """The batch stays, with all that it says of itself."""
    batch = ended(store, State.COMPLETED, State.FAILED)
    store.claim("b", batch.version, lease=10, holder="w")
    store.commit("b", batch.version + 1, Commit(batch.state, None, {"retired": True}, forget=True), holder="w")
    after = get_batch(store)
    assert (after.retired, after.manifest, after.shards, after.state) == (True, batch.manifest, 0, State.FAILED)
    assert (store.get_shard("b.0"), store.get_shard("b.1")) == (None, None)
    assert [each.id for each in store.iter_batches()] == ["b"]


def test_a_cancel_has_its_reason_with_it(store: Store) -> None:
    """What ended a batch is said in the call that ends it; a batch that is cancelled already keeps its own reason."""
    for batch_id in ("late", "cancelled"):
        store.create(batch_record(batch_id), delay=0)
    over = Failure(type="expired", message="its time is over")
    store.cancel("cancelled")
    assert store.cancel("late", over)
    assert store.cancel("cancelled", over)
    reasons = [batch.failure for name in ("late", "cancelled") if (batch := store.get_batch(name))]
    assert reasons == [over, None]


def test_open_items_whose_times_are_lost_are_due_again(valkey: str) -> None:
    """One item's time or those of all: what is open is looked at; what rests, has ended or is set aside is not."""
    prefix = f"store{next(_prefixes)}-times:"
    with redis.Redis.from_url(valkey, decode_responses=True) as client:
        store, due = RedisStore(client, prefix=prefix), f"{prefix}v{SCHEMA}:due"
        split(store, 4)
        split(store, 1, "cancelled")
        store.cancel("cancelled")
        end(store, "b.0")
        for _ in range(TRIES):
            store.suspect("b.1", "cannot be read")
        client.zrem(due, "b.2")
        assert store.restore_times(every=0.001) == ["b.2"]
        client.delete(due)
        time.sleep(0.01)
        assert sorted(store.restore_times(every=60)) == ["b.2", "b.3", "cancelled.0"]
        assert sorted(hint.id for hint in store.take_due(9, grace=5)) == ["b.2", "b.3", "cancelled.0"]
        client.delete(due)
        assert store.restore_times(every=60) == [], "another worker looked just now"


def test_items_that_have_their_times_keep_them(store: Store) -> None:
    """A look for lost times changes nothing where none is lost."""
    split(store, 2)
    end(store, "b.0")
    assert store.restore_times(every=60) == []
    assert store.take_due(9, grace=5) == []
