"""What `list` shows: only the batches that were asked for, whatever else is in the store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from batch_router import BatchClient, BatchStatus, ValidationError
from batch_router.connect import open_context
from batch_router.embedded import EmbeddedServer
from batch_router.road.context import Context
from batch_router.settings import Settings
from batch_router.state.base import Commit, Which
from batch_router.state.redis import RedisStore
from batch_router.state.table import State
from tests.items import new_batch, new_shard, put_shards


def running(context: Context, batch_id: str, provider: str = "openai") -> None:
    put_shards(context.store, new_shard(batch_id, provider=provider), batch=new_batch(batch_id, provider=provider))


def listed(context: Context, **which: str) -> list[str]:
    return [status.batch_id for status in BatchClient(context).list(**which)]  # type: ignore[arg-type]


def test_batches_are_listed_by_what_is_asked(context: Context) -> None:
    """By provider, by the status that is shown, by the beginning of the id, and by all of them."""
    for batch_id, provider in (("run-1", "openai"), ("run-2", "google"), ("other", "openai")):
        running(context, batch_id, provider)
    context.store.create(new_batch("run-3"), delay=0)
    context.store.create(new_batch("run-4"), delay=0)
    context.store.claim("run-4", 1, lease=10, holder="w")
    assert listed(context, provider="google") == ["run-2"]
    assert listed(context, status="queued") == ["run-3"]
    assert listed(context, status="validating") == ["run-4"]
    assert sorted(listed(context, status="in_progress")) == ["other", "run-1", "run-2"]
    assert listed(context, status="in_progress", provider="openai", prefix="run-") == ["run-1"]
    assert len(BatchClient(context).list(2)) == 2


def test_a_parked_batch_is_listed_as_parked_alone(context: Context) -> None:
    """As its status says; one that goes on with another shard is in progress."""
    for batch_id in ("stands", "goes-on"):
        put_shards(context.store, *(new_shard(batch_id) for _ in range(1 + (batch_id == "goes-on"))))
        for state in (State.CREATING, State.PARKED):
            shard = context.store.get_shard(f"{batch_id}.0")
            assert shard is not None
            context.store.claim(shard.id, shard.version, lease=10, holder="w")
            context.store.commit(shard.id, shard.version + 1, Commit(state, 0, {}), holder="w")
    assert listed(context, status="parked") == ["stands"]
    assert listed(context, status="in_progress") == ["goes-on"]


def test_a_provider_that_is_not_here_hides_no_batch(context: Context) -> None:
    """Its batches are listed, too, and say what they wait for."""
    running(context, "a")
    running(context, "b", provider="elsewhere")
    assert listed(context) == ["b", "a"]
    assert "'elsewhere' not found" in str(BatchClient(context).status("b").waiting_for)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ({"status": "done"}, "status 'done' is none of queued, "),
        ({"prefix": "a b"}, "prefix 'a b' begins no id: "),
        ({"limit": -1}, "limit must not be negative"),
    ],
)
def test_what_nothing_can_fit_is_refused(context: Context, which: dict[str, str], words: str) -> None:
    """One sentence says what there is."""
    with pytest.raises(ValidationError, match=words):
        listed(context, **which)


@pytest.fixture
def server(tmp_path: Path) -> Iterator["redis.Redis"]:
    """A server of this test's own: it counts the commands of all its clients."""
    with EmbeddedServer(tmp_path) as embedded, redis.Redis.from_url(embedded.start(), decode_responses=True) as client:
        yield client


def commands(server: "redis.Redis", call: Callable[[], object]) -> int:
    """How many commands the server runs for a call, those of scripts among them."""
    server.config_resetstat()
    call()
    return sum(each["calls"] for each in server.info("commandstats").values())


def test_what_is_asked_for_costs_no_walk_through_the_store(server: "redis.Redis") -> None:
    """With ten times as many batches, each question costs as many commands as before."""
    store = RedisStore(server)
    questions: dict[str, Callable[[], object]] = {
        "a status": lambda: list(store.iter_batches(Which(status=BatchStatus.FAILED))),
        "a provider": lambda: list(store.iter_batches(Which(provider="google"))),
        "parked": lambda: list(store.iter_batches(Which(status=BatchStatus.PARKED))),
        "a prefix": lambda: list(store.iter_batches(Which(prefix="x"))),
        "what ended": lambda: list(store.iter_ended(store.now() - 60)),
        "accounts": store.accounts,
        "labels": lambda: store.undecided(["f" * 16]),
        "company": lambda: store.has_company("b0.0", "openai@host", "m"),
        "other versions": lambda: store.foreign_items(1),
        "what is due": lambda: store.take_due(9, grace=0),
    }
    costs: list[dict[str, int]] = []
    for number in range(200):
        put_shards(store, new_shard(f"b{number}", label=f"{number:016x}"))
        if number in (19, 199):
            costs.append({name: commands(server, ask) for name, ask in questions.items()})
    assert costs[0] == costs[1]


def test_a_wait_reads_no_shard_before_the_end(server: "redis.Redis", tmp_path: Path) -> None:
    """A look at a batch that goes on is one command, however many shards it has; with `on_status` all are read."""
    store = RedisStore(server)
    put_shards(store, *(new_shard() for _ in range(50)))
    client = BatchClient(open_context(Settings(home=tmp_path / "home"), store=store))
    assert commands(server, lambda: client._look("b", only_the_end=True)) == commands(
        server, lambda: store.get_batch("b")
    )
