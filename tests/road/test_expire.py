"""A batch with a time-out of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router import BatchRouter
from batch_router.client import BatchClient
from batch_router.core import BatchStatus
from batch_router.exceptions import BatchExpiredError, ValidationError
from batch_router.intake.options import read_options
from batch_router.operations.submit import submit
from batch_router.providers import OpenAIProvider
from batch_router.road.context import Context, Running
from batch_router.road.cutting import Cutter
from batch_router.road.outcome import batch_to
from batch_router.road.steps.convert import convert
from batch_router.road.steps.expire import expire
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.state.base import Commit
from batch_router.state.items import Batch, InputFile
from batch_router.state.table import State
from tests.road.odd_openai import Clock, carry_on

ROWS = [{"custom_id": str(number), "prompt": f"Row {number}"} for number in range(6)]
NOW = 1_800_000_000.0


def run(tmp_path: Path, latency: Latency, timeout: float) -> Any:
    """A batch of two jobs with that time; its last status, its results, and the error of the one who waited."""

    async def main() -> Any:
        with Simulator(Scenario(latency=latency)) as simulator:
            async with BatchRouter(Settings(home=tmp_path, max_shard_rows=3), in_memory=True) as router:
                router.register_provider(OpenAIProvider(api_key="k", base_url=f"{simulator.url}/openai/v1"))
                batch_id = await router.send_batch("openai", ROWS, model="m", timeout=timeout)
                raised: str | None = None
                try:
                    await router.wait_for_completion("openai", batch_id, poll_interval=0.05)
                except BatchExpiredError as error:
                    raised = str(error)
                status = await router.get_status("openai", batch_id)
                return status, [result async for result in router.get_results("openai", batch_id)], raised

    return asyncio.run(main())


def test_a_batch_that_runs_out_of_its_time_keeps_what_was_answered(tmp_path: Path) -> None:
    """Its jobs are cancelled, it is `expired` for the reason `expired`, and each row has its result."""
    status, results, raised = run(tmp_path, Latency(in_progress=6), timeout=3)
    assert (status.status, status.error.type) == (BatchStatus.EXPIRED, "expired")
    assert raised == str(BatchExpiredError(status.batch_id, 3))
    assert {result.status for result in results} <= {"cancelled", "succeeded"}
    assert [result.custom_id for result in results] == [row["custom_id"] for row in ROWS]


def test_a_batch_in_time_knows_nothing_of_it(tmp_path: Path) -> None:
    """A time-out that never comes changes nothing."""
    status, results, raised = run(tmp_path, Latency(), timeout=60)
    assert (status.status, status.error, raised) == (BatchStatus.COMPLETED, None, None)
    assert [result.status for result in results] == ["succeeded"] * 6


def batch(**facts: Any) -> Batch:
    rows = InputFile(stored="in", size=1, hash="0")
    common: dict[str, Any] = {"id": "b", "version": 2, "provider": "openai", "input": rows, "submission": "s"}
    return Batch(**(common | {"state": State.RUNNING, "created_at": NOW - 10} | facts))


@pytest.mark.parametrize(
    ("facts", "delay"),
    [
        ({"timeout": 60}, 50),  # woken too early, by a message that was sent twice
        ({"timeout": 60, "cancel": True}, None),
        ({}, None),
    ],
)
def test_a_look_too_early_changes_nothing(context: Context, facts: dict[str, Any], delay: float | None) -> None:
    """The batch is looked at again when its time is over, if it has one and is not being cancelled already."""
    with context.keeper.hold("b", 2, "w", since=0) as lease:
        assert expire(Running.under(lease, context), batch(**facts)) == batch_to(State.RUNNING, delay)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "vllm"])
def test_a_batch_whose_time_is_over_before_its_rows_are_cut_sends_nothing(
    make_context: Callable[..., Context], provider: str
) -> None:
    """It ends like any other whose time is over: as `expired`, with one result for each row, and books in balance."""
    clock = Clock()
    context = make_context(clock=clock, max_shard_rows=4)
    config = {"max_tokens": 9}
    given: Any = {"requests": ROWS, "model": "m", "timeout": 5, "batch_id": "b", "generation_config": config}
    submit(context, provider, given)
    clock.now += 10
    outcome = carry_on(context, clock, "b")  # no key is there to call a service with
    assert (outcome.status.status, outcome.status.error and outcome.status.error.type) == ("expired", "expired")
    assert [(result.custom_id, result.status) for result in outcome.results] == [
        (row["custom_id"], "cancelled") for row in ROWS
    ]
    assert BatchClient(context).verify("b").request_counts.cancelled == len(ROWS)


def test_a_batch_whose_time_is_over_while_its_rows_are_cut_is_looked_at_at_once(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look is due now, not before now: that would be never."""
    clock = Clock()
    context = make_context(clock=clock)
    submit(context, "openai", {"requests": ROWS, "model": "m", "timeout": 5, "batch_id": "b"})
    add = Cutter.add

    def add_slowly(cutter: Cutter, row: Any) -> None:
        clock.now += 60
        add(cutter, row)

    monkeypatch.setattr(Cutter, "add", add_slowly)
    stored = context.store.claim("b", 1, lease=1000, holder="w")
    assert isinstance(stored, Batch)
    outcome = convert(context, stored)
    assert (outcome.state, outcome.delay) == (State.RUNNING, 0)


def test_a_crash_after_the_cancel_does_not_forget_the_reason(make_context: Callable[..., Context]) -> None:
    """The worker after one that died in `expire` finds the time-out as the reason, not a cancel of the user's."""
    context = make_context()
    hint = submit(context, "openai", {"requests": ROWS, "model": "m", "timeout": 5})
    context.store.claim(hint.id, 1, lease=10, holder="first")
    context.store.commit(hint.id, 2, Commit(State.RUNNING, 5, {}), holder="first")
    claimed = context.store.claim(hint.id, 3, lease=10, holder="second")
    assert isinstance(claimed, Batch)
    late = msgspec.structs.replace(claimed, created_at=NOW - 10)
    with context.keeper.hold(hint.id, late.version, "second", since=0) as lease:
        expire(Running.under(lease, context), late)
    found = context.store.get_batch(hint.id)  # nothing was committed
    assert found is not None
    assert (found.cancel, found.failure and found.failure.type) == (True, "expired")


@pytest.mark.parametrize("timeout", [0, -1, "soon"])
def test_a_time_out_is_a_number_of_seconds(timeout: object) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValidationError, match="timeout"):
        read_options({"timeout": timeout})
