"""The sweep of a worker outlives everything that can go wrong in it, and nothing holds up the others in it."""

import itertools
import logging
import re
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from batch_router import providers
from batch_router.connect import open_context
from batch_router.exceptions import StoreUnavailableError
from batch_router.road.context import Context
from batch_router.road.rounds import Rounds
from batch_router.settings import Settings
from batch_router.state.base import SWEEPING, Commit
from batch_router.state.table import State
from batch_router.worker import app, sweep
from batch_router.worker.unattended import Unattended
from tests.items import new_batch, new_shard, put_shards

_prefixes = itertools.count()
_GATE = 3


@pytest.fixture
def fleet(valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """A worker's context on the real server, with a prefix of its own; messages go to the server's next database."""
    prefix = f"sweep{next(_prefixes)}"
    monkeypatch.setenv("BATCH_ROUTER_BROKER_URL", valkey.replace("/0", "/1"))
    monkeypatch.setenv("BATCH_ROUTER_PREFIX", prefix)
    settings = Settings(home=tmp_path, redis_url=valkey, prefix=prefix, grace=0.001, queue_gate=_GATE)
    opened = open_context(settings)
    monkeypatch.setattr(sweep, "context", lambda: opened)
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    yield opened
    app.pool.force_close_all()
    opened.close()


@pytest.fixture
def broker(fleet: Context, valkey: str) -> Iterator["redis.Redis"]:
    """The server's next database."""
    with redis.Redis.from_url(valkey.replace("/0", "/1")) as client:
        yield client


def swept(fleet: Context, broker: "redis.Redis", caplog: pytest.LogCaptureFixture) -> list[str]:
    """The items whose messages a sweep sends, once anything is due for a while."""
    time.sleep(0.002)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        sweep.sweep(fleet, broker)
    return re.findall(r"action=swept item=(\S+)", caplog.text)


def _wait_for(event: threading.Event) -> None:
    assert event.wait(20)


def test_a_broker_that_is_away_ends_no_sweep(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where it answers badly nor where it is not known yet: the next look asks again."""
    answers: list[Any] = [StoreUnavailableError("no Redis"), RuntimeError("?"), object()]

    def open_broker(_settings: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setenv("BATCH_ROUTER_SWEEP_EVERY", "0.001")
    monkeypatch.setattr(sweep, "open_broker", open_broker)
    monkeypatch.setattr(sweep, "context", lambda: context)
    monkeypatch.setattr(sweep, "is_stopping", lambda: not answers)
    queues: Any = types.SimpleNamespace(consume_from={"io": None})
    sweep._watch("w", queues)
    assert context.store.listeners("io") == ["w"]
    assert context.store.listeners(SWEEPING) == ["w"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """At the next look, with a line on the log that counts."""
    again = threading.Event()
    ends: list[type[BaseException]] = [SystemExit]

    def act() -> None:
        if ends:
            raise ends.pop()
        again.set()

    rounds = Rounds("sweep", act, every=0.001)
    assert rounds.look_after()
    while rounds.look_after():
        time.sleep(0.001)
    _wait_for(again)
    assert rounds.replaced == 1
    assert "action=thread_replaced thread=sweep died times=1" in caplog.text
    rounds.close()


def test_a_thread_that_hangs_is_replaced_and_ends_when_it_wakes(caplog: pytest.LogCaptureFixture) -> None:
    """Two never go on side by side."""
    wake, again = threading.Event(), threading.Event()
    seen: list[threading.Thread] = []

    def act() -> None:
        seen.append(threading.current_thread())
        if len(seen) == 1:
            wake.wait(20)
        else:
            again.set()

    rounds = Rounds("sweep", act, every=0.001, hangs_after=0.05)
    while rounds.look_after():
        time.sleep(0.001)
    _wait_for(again)
    assert "action=thread_replaced thread=sweep silent_s=" in caplog.text
    wake.set()
    seen[0].join(20)
    assert not seen[0].is_alive()
    rounds.close()


def test_each_part_of_a_look_fails_alone(
    fleet: Context, broker: "redis.Redis", valkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that cannot find out what other versions left sends the overdue messages in each look, as ever."""
    fleet.store.create(new_batch(), delay=0)
    with redis.Redis.from_url(valkey) as server:
        server.delete(f"{fleet.settings.prefix}:layouts")
        server.set(f"{fleet.settings.prefix}:layouts", "of another kind")
    look = sweep.Sweep(fleet.settings)
    for _ in range(2):
        time.sleep(0.002)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            look.round()
        assert "action=swept item=b" in caplog.text
        assert "action=report_failed" in caplog.text


def test_a_provider_that_cannot_be_imported_holds_up_no_other(
    fleet: Context,
    broker: "redis.Redis",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The package names a library that is not here: its batch waits for another worker, the others go on."""
    (tmp_path / "bad.dist-info").mkdir()
    (tmp_path / "bad.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (tmp_path / "bad.dist-info" / "entry_points.txt").write_text("[batch_router.providers]\nbad = bad:Provider\n")
    (tmp_path / "bad.py").write_text("import a_library_that_is_not_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(providers, "_installed", providers._installed.__wrapped__)  # it keeps what was installed before
    for batch_id, provider in (("a", "openai"), ("m", "bad"), ("z", "openai")):
        fleet.store.create(new_batch(batch_id, provider=provider), delay=0)
    assert sorted(swept(fleet, broker, caplog)) == ["a", "z"]
    assert "action=sweep_skipped item=m" in caplog.text
    assert "its package cannot be imported here (ModuleNotFoundError)" in caplog.text


def test_a_long_queue_holds_back_neither_cancels_nor_time_outs(
    fleet: Context, broker: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """Items of a cancelled batch, and batches whose time is over, go out at once; the others wait."""
    put_shards(fleet.store, *(new_shard("cancelled") for _ in range(2)))
    put_shards(fleet.store, new_shard("waits"))
    fleet.store.cancel("cancelled")
    fleet.store.create(new_batch("late", timeout=0.0), delay=0)
    fleet.store.create(new_batch("over"), delay=0)
    fleet.store.claim("over", 1, lease=10, holder="w")
    fleet.store.commit("over", 2, Commit(State.RUNNING, 0, {}), holder="w")
    for queue in ("io", "cpu"):
        broker.lpush(f"{fleet.settings.prefix}.{queue}", *["of others"] * (_GATE + 1))
    assert sorted(swept(fleet, broker, caplog)) == ["cancelled.0", "cancelled.1", "late", "over"]


def test_what_a_long_queue_holds_back_goes_out_in_the_end(
    fleet: Context, broker: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """Its last message may be lost, so the fourth time that it is due another one goes to the long queue."""
    put_shards(fleet.store, new_shard("waits"))
    broker.lpush(f"{fleet.settings.prefix}.io", *["of others"] * (_GATE + 1))
    handed_out = 0
    while not swept(fleet, broker, caplog):
        handed_out += 1
        assert handed_out < 1000
    assert handed_out >= 3
    shard = fleet.store.get_shard("waits.0")
    assert shard is not None
    assert shard.version == 1


def test_a_queue_that_stays_without_workers_is_told_of(fleet: Context, broker: "redis.Redis") -> None:
    """By each batch with a webhook that waits there; not where a worker listens, and not before the patience ends."""
    put_shards(fleet.store, new_shard("waits"), batch=new_batch("waits", webhook=True))
    put_shards(fleet.store, new_shard("silent"))
    time.sleep(0.002)
    waiting = sweep.sweep(fleet, broker)
    assert waiting == {"io": {"waits", "silent"}}

    def told(unattended: Unattended) -> list[str | None]:
        unattended.look(fleet, waiting)
        batches = map(fleet.store.get_batch, ("waits", "silent"))
        notices = [each for batch in batches if batch is not None for each in fleet.store.get_notices(batch)]
        return [each.event.queue for each in notices if each.event is not None]

    assert told(Unattended()) == []
    fleet.store.announce("w", ["io"], ttl=60)
    assert told(Unattended(0)) == []
    fleet.store.announce("w", ["io"], ttl=-1)  # it is gone
    assert told(Unattended(0)) == ["io"]
    assert told(Unattended(0)) == ["io"]


def test_a_short_queue_holds_nothing_back(
    fleet: Context, broker: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    """Each look sends what is due, after the same pause each time, until the queue is long."""
    put_shards(fleet.store, new_shard("waits"))
    assert [swept(fleet, broker, caplog) for _ in range(_GATE)] == [["waits.0"]] * _GATE
