"""A store that forgets: put back to what it was some changes ago, wherever a batch stands, it pays for nothing twice.

The SDKs, the services' wire and their own bill are the simulator's; the store is in memory, so that it can be put back.
"""

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from batch_router.client import BatchClient
from batch_router.core import ResultStatus
from batch_router.operations.rebuild import find_again
from batch_router.operations.submit import submit
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Refusal
from batch_router.state.memory import MemoryStore
from tests.road.forgetting import EVERYTHING, Back, Past
from tests.road.odd_openai import Clock

URLS = {"openai": "openai/v1", "anthropic": "anthropic", "google": "google"}
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
ROWS = 4
#: A row that fails for a passing reason each time, and goes again in a shard of its own; or one that a service refuses
#: the whole job for, so that all others go again in shards of their own.
ODD = {
    "busy": Refusal(match="busy", status=500, type="server_error"),
    "refused": Refusal(match="refused", job=True),
}
_LONGEST_PAUSE = 300.0
_PATIENCE = 2 * 86400.0


class Fleet:
    """One worker, a store that can be put back, and a clock that moves when nothing is due."""

    def __init__(self, context: Context, clock: Clock) -> None:
        assert isinstance(context.store, MemoryStore)
        self.context, self.clock, self.store = context, clock, context.store
        self.past = Past(self.store)

    def forget(self, back: Back) -> None:
        """Put the store back; the next epoch begins."""
        self.past.forget(back)
        self.store.announce("w", [], ttl=1)
        find_again(self.context)

    def carry_on(self, batch_id: str, steps: int = sys.maxsize) -> int:
        """Take the batch some steps on, or to its end; how many steps there were."""
        began, pause, done = self.clock.now, 0.0, 0
        while done < steps and not self._has_ended(batch_id):
            assert self.clock.now < began + _PATIENCE, BatchClient(self.context).status(batch_id)
            hints = self.store.take_due(1, grace=1)
            for hint in hints:
                done += advance(self.context, hint.id, hint.version) is not None
                self.past.remember()
            pause = 0.0 if hints else min(_LONGEST_PAUSE, 2 * pause + 1)
            self.clock.now += pause
        return done

    def _has_ended(self, batch_id: str) -> bool:
        batch = self.store.get_batch(batch_id)
        return batch is not None and batch.state.is_final


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Scenario(refuse=tuple(ODD.values()))) as running:
        yield running


@pytest.fixture
def make_fleet(
    make_context: Callable[..., Context], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Fleet]:
    for key in KEYS:
        monkeypatch.setenv(key, "k")
    urls = {name: f"{simulator.url}/{path}" for name, path in URLS.items()}
    clients = make_context(base_urls=urls).clients  # an SDK takes longer to start than a batch to run

    def make() -> Fleet:
        clock = Clock()
        clock.now = time.time()
        context = make_context(clock=clock, base_urls=urls, max_shard_rows=3)
        return Fleet(dataclasses.replace(context, clients=clients), clock)

    return make


def begin(fleet: Fleet, provider: str, batch_id: str, odd: str) -> None:
    """A batch of two shards, with an odd row in the first one."""
    rows = [{"custom_id": "odd", "prompt": f"{batch_id} {odd}"}]
    rows += [{"custom_id": str(row), "prompt": f"{batch_id} row {row}"} for row in range(ROWS - 1)]
    given: Any = {"requests": rows, "model": "m", "batch_id": batch_id, "row_retries": 1}
    submit(fleet.context, provider, given | {"generation_config": {"max_tokens": 9}})
    fleet.past = Past(fleet.store)  # all that it forgets is what came after


def check(fleet: Fleet, simulator: Simulator, batch_id: str) -> None:
    """Every row has its one result, and none was paid twice, by the provider's own bill."""
    results = list(BatchClient(fleet.context).results(batch_id))
    assert [result.custom_id for result in results] == ["odd", *map(str, range(ROWS - 1))]
    assert [result.status for result in results] == [ResultStatus.ERRORED] + [ResultStatus.SUCCEEDED] * (ROWS - 1)
    paid = Counter(charge.prompt for charge in simulator.bill() if charge.prompt.startswith(f"{batch_id} "))
    assert set(paid.values()) == {1}, paid


@pytest.mark.parametrize("back", [Back(changes=1), EVERYTHING])
@pytest.mark.parametrize(("provider", "odd"), [*product(URLS, ["busy"]), ("openai", "refused")])
def test_what_the_store_forgets_is_not_paid_twice(
    make_fleet: Callable[[], Fleet], simulator: Simulator, provider: str, odd: str, back: Back
) -> None:
    """After each step of a batch the store forgets its last changes: the batch ends well, and each row is paid once."""
    fleet = make_fleet()
    begin(fleet, provider, "whole", odd)
    steps = fleet.carry_on("whole")
    check(fleet, simulator, "whole")
    for step in range(1, steps):
        fleet = make_fleet()
        begin(fleet, provider, f"after-{step}", odd)
        fleet.carry_on(f"after-{step}", step)
        fleet.forget(back)
        fleet.carry_on(f"after-{step}")
        check(fleet, simulator, f"after-{step}")
