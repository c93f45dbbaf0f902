"""What a batch costs: its tokens and its price as the provider's own bill has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from batch_router.client import BatchClient
from batch_router.local_driver import LocalDriver
from batch_router.providers import AnthropicProvider, GoogleProvider, OpenAIProvider, Provider
from batch_router.road.context import Context
from batch_router.road.spend import days_of, read_spend
from batch_router.road.steps.finish import finish
from batch_router.road.steps.normalize import normalize
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.bill import Charge
from batch_router.simulator.scenario import Misfit
from batch_router.state.table import State
from tests.items import facts_of
from tests.providers import schema_classes as classes

KINDS = {"openai": (OpenAIProvider, "/openai/v1"), "anthropic": (AnthropicProvider, "/anthropic"),
         "google": (GoogleProvider, "/google")}  # fmt: skip
PRICES = "\n".join(
    f'[[prices]]\nprovider = "{name}"\nmodel = "m-1"\nsince = 2020-01-01\ninput = 3\noutput = 7.5' for name in KINDS
)


class Sent:
    """A store in this process whose batches go to a simulated provider.

    Attributes:
        context: of its workers and clients.
        client: of it.
    """

    def __init__(self, context: Context, simulator: Simulator) -> None:
        self.context = context
        self.client = BatchClient(context)
        self._simulator = simulator

    def send(self, name: str, prompts: list[str], **options: Any) -> str:
        """Send a batch and wait for its end; `prompt@model` names a model."""
        rows = [dict(zip(("custom_id", "prompt", "model"), (p, *p.split("@")), strict=False)) for p in prompts]
        batch_id = self.client.submit(
            name, requests=rows, **{"model": "m-1", "generation_config": {"max_tokens": 50}} | options
        )
        self.client.wait(batch_id)
        return batch_id

    def bill(self) -> list[Charge]:
        """What the provider takes money for."""
        return self._simulator.bill()


@contextmanager
def sending(home: Path, name: str, scenario: Scenario) -> Iterator[Sent]:
    """Workers of this process, and the provider."""
    (home / "prices.toml").write_text(PRICES)
    settings = Settings(home=home / "home", max_shard_rows=5, prices=home / "prices.toml")
    with Simulator(scenario) as simulator:
        kind, path = KINDS[name]
        provider: Provider = kind(api_key="sk-1", base_url=simulator.url + path)
        driver = LocalDriver(settings, {name: provider}, in_memory=True)
        try:
            yield Sent(driver.context, simulator)
        finally:
            driver.stop()


def cost(bill: list[Charge]) -> Decimal:
    """What the provider takes for these rows, by our table."""
    return sum((each.input_tokens * 3 + each.output_tokens * Decimal("7.5") for each in bill), Decimal(0)) / 1_000_000


PROMPTS = [f"{word} {number}" for number in range(4) for word in ("plain", "told twice")]
SCHEMA = {"output_schema": classes.Label, "invalid_retries": 3}


AGAIN = {"repeat": "twice", "misfit": (Misfit(share=0.5),)}


@pytest.mark.parametrize(
    ("name", "day", "options"),
    [
        *((name, {"repeat": "twice"}, {}) for name in KINDS),
        *((name, AGAIN, SCHEMA) for name in KINDS),
        *((name, {"expire_after": 0.5}, {"row_retries": 3}) for name in ("openai", "anthropic")),
    ],
)
def test_tokens_and_cost_are_those_of_the_providers_bill(
    tmp_path: Path, name: str, day: dict[str, Any], options: dict[str, Any]
) -> None:
    """To the last digit, with rows that go again, answers that are thrown away, and answers that come twice."""
    with sending(tmp_path, name, Scenario(**day)) as sent:
        status, bill = sent.client.status(sent.send(name, PROMPTS, **options)), sent.bill()
    tokens = status.tokens
    assert (tokens.answers, tokens.uncounted) == (len(bill), 0)
    assert tokens.input_tokens == sum(charge.input_tokens for charge in bill)
    assert tokens.output_tokens == sum(charge.output_tokens for charge in bill)
    assert sum(shard.tokens.total for shard in status.shards) == tokens.total
    assert status.cost == status.known_cost == cost(bill) > 0
    assert sum(shard.cost or 0 for shard in status.shards) == status.cost


def test_a_cost_is_unknown_where_a_price_is(tmp_path: Path) -> None:
    """The books say how much of it is known, each part names its price, and each row has its own cost."""
    with sending(tmp_path, "openai", Scenario()) as sent:
        batch_id = sent.send("openai", ["a", "b@other", "c"])
        status, books, rows = sent.client.status(batch_id), sent.client.manifest(batch_id), sent.client.join(batch_id)
        costs = {row["custom_id"]: row["cost"] for row in rows}
        bill = [charge for charge in sent.bill() if charge.prompt != "b"]
    assert status.cost is books.cost is costs["b@other"] is None
    assert status.known_cost == books.known_cost == cost(bill) == costs["a"] + costs["c"] > 0  # type: ignore[operator]
    assert [part.price and part.price.model for part in books.parts] == ["m-1", None]
    assert [part.cost for part in books.parts] == [cost(bill), None]


def test_what_was_spent_is_written_once(tmp_path: Path) -> None:
    """Steps that run again after a worker's death change nothing; a purge leaves the record; a reused id adds one."""
    with sending(tmp_path, "openai", Scenario(repeat="twice")) as sent:
        batch_id = sent.send("openai", PROMPTS, batch_id="b", metadata={"team": "red"})
        batch = sent.context.store.get_batch(batch_id)
        assert batch is not None
        for shard in sent.context.store.get_shards(batch):
            again = facts_of(normalize(sent.context, replace(shard, state=State.NORMALIZING)))["part"]
            assert shard.part is not None
            assert (again.tokens, again.cost) == (shard.part.tokens, shard.part.cost)
        finish(sent.context, batch)
        sent.client.purge(batch_id)
        sent.send("openai", ["again"], batch_id="b")
        records = [read_spend(sent.context.storage, name) for _, name in days_of(sent.context.storage)]
        bill = sent.bill()
    assert sorted(record.metadata.get("team", "") for record in records) == ["", "red"]
    assert sum(model.known_cost for record in records for model in record.models) == cost(bill)
    assert sum(model.tokens.answers for record in records for model in record.models) == len(bill)
