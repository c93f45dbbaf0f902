"""Limits of tokens, budgets and pauses, kept on the road to a simulated service."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.client import BatchClient
from batch_router.core import BatchStatus, BatchStatusResponse, ErrorType
from batch_router.core.prices import Price, Prices
from batch_router.local_driver import LocalDriver
from batch_router.operations.ledger import pause, set_budget, unpause
from batch_router.providers import OpenAIProvider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.state.ledger import DOLLAR
from tests.receiver import NEW, Receiver

ROW = {"messages": [{"role": "user", "content": "x" * 400}]}
#: A dollar for a thousand tokens, in and out.
PRICE = Price(provider="openai", model="m", since=date(2020, 1, 1), input=Decimal(1000), output=Decimal(1000))
CAP = {"generation_config": {"max_tokens": 200}}


class Stack:
    """Workers in this process, and the service that they call."""

    def __init__(self, driver: LocalDriver, simulator: Simulator) -> None:
        self.context = driver.context
        self.client = BatchClient(driver.context)
        self.simulator = simulator

    def submit(self, rows: int, **options: Any) -> str:
        requests = [{"custom_id": str(number), **ROW} for number in range(rows)]
        return self.client.submit("openai", requests=requests, model="m", **({"metadata": {"team": "a"}} | options))

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def waits(self, batch_id: str, kind: str) -> BatchStatusResponse:
        """The status, once nothing goes on but for this reason."""
        self.until(lambda: _open(self.client.status(batch_id)) == {kind})
        return self.client.status(batch_id)

    def jobs(self) -> int:
        """How many were made."""
        sent = [(each["method"], each["path"]) for each in self.simulator.requests()]
        return sum(method == "POST" and path.endswith("/batches") for method, path in sent)


def _open(status: BatchStatusResponse) -> set[str]:
    open_ones = [shard for shard in status.shards if shard.state not in ("completed", "failed", "cancelled")]
    return {shard.error.type if shard.error else "" for shard in open_ones}


@pytest.fixture
def stack(tmp_path: Path) -> Callable[..., Any]:
    """`stack(scenario, rows in a shard)`: with a price, and without a server."""

    @contextmanager
    def run(scenario: Scenario, rows: int = 1, prices: Sequence[Price] = (PRICE,)) -> Iterator[Stack]:
        with Simulator(scenario) as simulator:
            provider = OpenAIProvider(api_key="k", base_url=f"{simulator.url}/openai/v1")
            settings = Settings(home=tmp_path, max_shard_rows=rows, webhook_secret=NEW, webhook_private=True)
            driver = LocalDriver(settings, {"openai": provider}, in_memory=True)
            driver.context.__dict__["prices"] = Prices(prices)
            try:
                yield Stack(driver, simulator)
            finally:
                driver.stop()

    return run


def test_a_refusal_teaches_the_limit(stack: Callable[..., Any]) -> None:
    """A service that lets few tokens wait refuses jobs until one says so, and none after; over 90 % of it are used."""
    limit, highest = 1500, 0
    with stack(Scenario(queued_tokens=limit, latency=Latency(in_progress=1))) as running:
        line = "tokens:openai:m"
        first = running.submit(24)
        running.until(lambda: running.client.status(first).is_complete())
        taught = running.jobs()
        assert taught > 24
        batch_id = running.submit(30)

        def has_ended() -> bool:
            nonlocal highest
            highest = max(highest, running.context.store.get_lines([line])[0].booked)
            return bool(running.client.status(batch_id).is_complete())

        running.until(has_ended)
        assert running.client.status(batch_id).request_counts.succeeded == 30
        assert running.jobs() == taught + 30
        assert running.context.store.get_lines([line])[0][1:] == (0, limit, 0)
    assert 0.9 * limit < highest <= limit


def test_a_batch_stops_before_its_cost_passes_its_limit(stack: Callable[..., Any]) -> None:
    """It waits, `status` says why; with a higher budget it goes on, and all that it cost is booked."""
    with stack(Scenario()) as running:
        batch_id = running.submit(6, max_cost=1.0, **CAP)
        status = running.waits(batch_id, "over_budget")
        assert f"batch-router budget batch={batch_id} DOLLARS" in (status.waiting_for or "")
        assert 0 < running.jobs() < 6
        assert status.known_cost < 1
        set_budget(running.context, f"batch={batch_id}", Decimal(9))
        running.until(lambda: running.client.status(batch_id).is_complete())
        status = running.client.status(batch_id)
        booked = running.context.store.get_lines([f"spent:batch={batch_id}"])[0].booked
        assert (status.status, running.jobs()) == (BatchStatus.COMPLETED, 6)
        assert status.cost is not None
        assert abs(booked - status.cost * DOLLAR) <= 6  # each shard's is rounded up


def test_a_webhook_tells_of_a_budget_once(stack: Callable[..., Any]) -> None:
    """However many shards wait for it, and however often they look; it names the budget, and says what raises it."""
    with stack(Scenario()) as running, closing(Receiver()) as receiver:
        set_budget(running.context, "metadata.team=a", Decimal(0))
        batch_id = running.submit(3, webhook=receiver.url, **CAP)
        running.until(lambda: receiver.got)
        for _ in range(2):
            running.waits(batch_id, "over_budget")
            set_budget(running.context, "metadata.team=a", Decimal("0.01"))  # the first one looks again
        set_budget(running.context, "metadata.team=a", None)
        running.until(lambda: {event.type for event in receiver.events()} == {"batch.waiting", "batch.completed"})
    first, *_ = receiver.events()
    data = first.to_dict()["data"]
    assert (first.type, data["budget"], data["error"]["type"]) == ("batch.waiting", "metadata.team=a", "over_budget")
    assert "batch-router budget metadata.team=a DOLLARS" in data["error"]["message"]
    assert len(set(receiver.ids)) == 2


def test_a_batch_may_end_where_its_budget_ends(stack: Callable[..., Any]) -> None:
    """With `over_budget="end"` its other rows are errored with the reason, and nothing is reserved for them."""
    with stack(Scenario()) as running:
        set_budget(running.context, "metadata.team=a", Decimal(1))
        batch_id = running.submit(6, over_budget="end", **CAP)
        running.until(lambda: running.client.status(batch_id).is_complete())
        status = running.client.status(batch_id)
        results = list(running.client.results(batch_id))
        errors = {result.error.type for result in results if result.error}
        assert errors == {ErrorType.JOB_FAILED}
        assert 0 < status.request_counts.succeeded == running.jobs() < 6
        assert running.context.store.get_lines(["spent:metadata.team=a"])[0].booked <= DOLLAR


def test_without_a_price_no_budget_is_passed(stack: Callable[..., Any]) -> None:
    """A batch with a limit of its cost waits for the price of its model, and sends nothing."""
    with stack(Scenario(), prices=()) as running:
        batch_id = running.submit(1, max_cost=1)
        assert "BATCH_ROUTER_PRICES" in (running.waits(batch_id, "price_unknown").waiting_for or "")
        assert running.simulator.requests() == []


@pytest.mark.parametrize("scope", ["provider=openai", "metadata.team=a"])
def test_what_is_paused_sends_nothing_new(stack: Callable[..., Any], scope: str) -> None:
    """Until it is unpaused; other batches go on."""
    with stack(Scenario()) as running:
        pause(running.context, scope)
        batch_id = running.submit(2)
        assert f"batch-router unpause {scope}" in (running.waits(batch_id, "paused").waiting_for or "")
        assert running.simulator.requests() == []
        unpause(running.context, scope)
        running.until(lambda: running.client.status(batch_id).is_complete())
        assert running.client.status(batch_id).request_counts.succeeded == 2


def test_a_paused_batch_can_be_cancelled(stack: Callable[..., Any]) -> None:
    """It ends, and takes no place in the line."""
    with stack(Scenario()) as running:
        pause(running.context, "provider=openai")
        batch_id = running.submit(2)
        running.waits(batch_id, "paused")
        running.client.cancel(batch_id)
        running.until(lambda: running.client.status(batch_id).is_complete())
        assert running.client.status(batch_id).status is BatchStatus.CANCELLED
        assert msgspec.structs.asdict(running.client.status(batch_id).request_counts)["cancelled"] == 2
        assert running.context.store.get_lines(["jobs:provider=openai"])[0].waiting == 0
