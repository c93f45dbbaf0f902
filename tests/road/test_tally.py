"""What is added up for metrics: the rows, tokens and cost of results, once, and the provider's errors."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_router.operations.submit import submit
from batch_router.prices import read_prices
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.road.tally import tally_of_results
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault
from batch_router.state.census import Total
from batch_router.state.facts import ShardFacts
from batch_router.state.parts import Part
from tests.items import get_batch, new_batch, new_shard

ROWS = [{"custom_id": str(number), "prompt": "2 + 2?"} for number in range(5)]


def test_the_totals_are_those_of_the_batches(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of two batches, each in shards, where the provider fails once: as many rows and tokens as their status says."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[[prices]]\nprovider = "openai"\nmodel = "m"\nsince = 2020-01-01\ninput = 0\noutput = 7.5\n')
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    now = [1_800_000_000.0]
    fault = Fault(match="POST /files", do="status", status=500, times=1)
    with Simulator(Scenario(faults=(fault,))) as simulator:
        urls = {"openai": f"{simulator.url}/openai/v1"}
        made = make_context(clock=lambda: now[0], base_urls=urls, max_shard_rows=2)
        context = dataclasses.replace(made, prices=read_prices(prices))
        for batch_id in ("a", "b"):
            submit(context, "openai", {"model": "m", "requests": ROWS, "batch_id": batch_id})
        while not all(batch.state.is_final for batch in context.store.iter_batches()):
            now[0] += 10
            for hint in context.store.take_due(9, grace=0):
                advance(context, hint.id, hint.version)
    tokens = [get_batch(context.store, batch_id).tokens for batch_id in ("a", "b")]
    totals = dict(context.store.census().totals)
    assert totals.pop(Total("cost_dollars", "openai", "known")) == pytest.approx(
        7.5e-6 * sum(each.output_tokens for each in tokens)
    )
    assert totals == {
        Total("rows", "openai", "succeeded"): 10,
        Total("tokens", "openai", "input"): sum(each.input_tokens for each in tokens),
        Total("tokens", "openai", "output"): sum(each.output_tokens for each in tokens),
        Total("provider_errors", "openai", "provider_unavailable"): 1,
    }
    assert min(totals.values()) > 0


def test_results_that_are_written_again_add_what_is_new() -> None:
    """No total shrinks: rows that failed and now succeed count as succeeded, and once more."""
    shard = new_shard(part=Part(name="p", succeeded=2, errored=3))
    more = tally_of_results(shard, ShardFacts(part=Part(name="p", succeeded=5)))
    assert more == {Total("rows", "openai", "succeeded"): 3}
    assert tally_of_results(shard, ShardFacts(lost=1)) == tally_of_results(new_batch(), {}) == {}
