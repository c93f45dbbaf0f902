"""Many jobs of an account are looked at together: by one shard, which wakes those whose jobs have ended."""

import time
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest

from batch_router.road import watching
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Latency
from batch_router.state.items import Shard
from batch_router.state.table import State
from tests.items import new_shard, put_shards

COUNT = 6
FINE = Scenario(latency=Latency(in_progress=1e6))


class Fleet:
    """Shards with jobs at a simulated service, and a clock that a test moves."""

    def __init__(self, make_context: Callable[..., Context], simulator: Simulator) -> None:
        self.ahead = 0.0
        self.simulator = simulator
        url = f"{simulator.url}/openai/v1"
        self.context = make_context(clock=lambda: time.time() + self.ahead, base_urls={"openai": url})
        self.store = self.context.store
        with self.context.storage.write(new_shard().requests) as stream:
            stream.write(b'{"custom_id":"x-0","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n')
        size = self.context.storage.size(new_shard().requests)
        put_shards(self.store, *(new_shard(label=f"{number:016x}", size=size) for number in range(COUNT)))
        for shard in range(COUNT):
            self.run(shard)  # uploads
            self.run(shard)  # creates
        self.asked: Counter[str] = Counter()
        self.calls()

    def shard(self, number: int) -> Shard:
        found = self.store.get_shard(f"b.{number}")
        assert found is not None
        return found

    def run(self, number: int) -> float:
        """The delay after the next step of a shard."""
        done = advance(self.context, f"b.{number}", self.shard(number).version)
        assert done is not None
        return done.delay

    def calls(self) -> tuple[int, int]:
        """How often the list was asked for since the last time, and single jobs."""
        before = self.asked
        self.asked = Counter(
            "list" if each["path"].endswith("/batches") else "get"
            for each in self.simulator.requests()
            if each["method"] == "GET" and "/batches" in each["path"]
        )
        return self.asked["list"] - before["list"], self.asked["get"] - before["get"]

    def due(self) -> set[str]:
        """What is due now."""
        return {hint.id for hint in self.store.take_due(99, grace=60)}


@pytest.fixture
def fleet(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Jobs that run, as many as are looked at together."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr(watching, "MANY", COUNT - 2)
    with Simulator(FINE) as simulator:
        yield Fleet(make_context, simulator)


def test_young_jobs_are_asked_for_one_by_one(fleet: Fleet) -> None:
    """However many there are: short jobs end soon."""
    assert fleet.run(0) < 1
    assert fleet.calls() == (0, 1)


def test_one_shard_walks_for_all(fleet: Fleet) -> None:
    """It comes back after half a minute, and asks for no job; others ask once an hour, but for a few that stand by."""
    fleet.ahead = 400
    assert fleet.run(0) == watching.WALK_EVERY
    assert fleet.calls() == (1, 0)
    later = [delay for number in range(1, COUNT) if (delay := fleet.run(number)) != watching.WALK_EVERY]
    assert len(later) == COUNT - 1 - 3
    assert 3600 <= min(later) <= max(later) < 4000
    assert fleet.calls() == (0, len(later))
    fleet.ahead += watching.WALK_EVERY + 1
    assert fleet.run(0) == watching.WALK_EVERY
    assert fleet.calls() == (1, 0)


def test_a_walk_wakes_those_whose_jobs_have_ended(fleet: Fleet) -> None:
    """They are due at once, and ask for their jobs themselves before they go on."""
    fleet.ahead = 400
    for number in range(COUNT):
        fleet.run(number)
    fleet.due()
    fleet.simulator.change(Scenario(latency=Latency()))
    fleet.ahead += watching.WALK_EVERY + 1
    fleet.run(0)
    assert fleet.shard(0).state is State.DOWNLOADING
    assert {f"b.{number}" for number in range(1, COUNT)} <= fleet.due()
    fleet.calls()
    for number in range(1, COUNT):
        fleet.run(number)
        assert fleet.shard(number).state is State.DOWNLOADING
    assert fleet.calls() == (0, COUNT - 1)


def test_a_watcher_whose_job_has_ended_is_followed(fleet: Fleet) -> None:
    """Shards that stood by are due, and walk when it is time again."""
    fleet.ahead = 400
    for number in range(COUNT):
        fleet.run(number)
    fleet.due()
    first = fleet.shard(0).job
    assert first is not None
    fleet.context.client_of(fleet.shard(0)).cancel(first.id)
    fleet.ahead += watching.WALK_EVERY + 1
    fleet.run(0)
    follow = sorted(fleet.due())
    assert follow == [f"b.{COUNT - number}" for number in (3, 2, 1)]
    fleet.calls()
    assert fleet.run(COUNT - 1) == watching.WALK_EVERY
    fleet.ahead += watching.WALK_EVERY + 1
    assert fleet.run(COUNT - 1) == watching.WALK_EVERY
    assert fleet.calls() == (1, 0)


def test_a_list_that_shows_an_ended_job_as_running_holds_up_none(fleet: Fleet) -> None:
    """Once an hour the watcher asks for its own job, too."""
    fleet.ahead = 400
    asked = 0
    for _ in range(121):
        fleet.run(0)
        fleet.ahead += watching.WALK_EVERY + 1
        asked += fleet.calls()[1]
        if asked:
            break
    assert asked == 1


def test_another_shard_walks_where_the_watcher_is_gone(fleet: Fleet) -> None:
    """Any shard that finds the last walk too old walks: none depends on one that has ended, or whose worker is dead."""
    fleet.ahead = 400
    fleet.run(0)
    fleet.ahead += 3600
    assert fleet.run(2) == watching.WALK_EVERY
    assert fleet.calls() == (2, 0)


def test_a_service_that_lists_no_jobs_is_asked_for_each(fleet: Fleet) -> None:
    """As often as if they were few."""
    fleet.ahead = 400
    refused = Fault(match="GET /batches?", do="status", status=404, times=99)
    fleet.simulator.change(msgspec.structs.replace(FINE, faults=(refused,)))
    assert fleet.run(0) < 60
    assert fleet.calls()[1] == 1


def test_a_cancelled_shard_asks_itself(fleet: Fleet) -> None:
    """Its job is cancelled by a request of its own."""
    fleet.ahead = 400
    fleet.store.cancel("b")
    fleet.run(0)
    assert fleet.calls() == (0, 1)
    assert fleet.shard(0).cancel_sent
