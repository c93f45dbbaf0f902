"""What a batch costs: its tokens and its price as the provider's own bill has them."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from batch_router.client import BatchClient
from batch_router.core import HourPrice, Price, Prices, Tokens
from batch_router.exceptions import InvalidInputError, ValidationError
from batch_router.local_driver import LocalDriver
from batch_router.operations.estimate import estimate
from batch_router.providers import AnthropicProvider, GoogleProvider, OpenAIProvider, Provider
from batch_router.road.context import Context
from batch_router.road.costs import Cost, cost_of, priced
from batch_router.road.spend import days_of, read_spend
from batch_router.road.steps.finish import finish
from batch_router.road.steps.normalize import normalize
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.bill import Charge
from batch_router.simulator.scenario import Misfit
from batch_router.state.parts import Part
from batch_router.state.table import State
from batch_router.storage import FolderStorage
from tests.items import facts_of, new_shard
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
ROWS = [{"custom_id": prompt, "prompt": prompt} for prompt in PROMPTS]
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


def test_a_job_of_our_own_costs_its_hours(context: Context) -> None:
    """Those that it ran in workers, whatever its tokens; without a price for hours it is unknown."""
    hour = HourPrice(provider="vllm", since=date(2020, 1, 1), hour=Decimal("2.50"))
    shard = new_shard(provider="vllm", run_for=5400.0, submitted_at=1.8e9)
    part = Part(name="results", tokens=Tokens(input_tokens=5, answers=1, uncounted=1))
    with_hours = dataclasses.replace(context, prices=Prices(hours=[hour]))
    assert cost_of([replace(shard, part=priced(with_hours, shard, part))]).total == Decimal("3.75")
    assert cost_of([replace(shard, part=priced(context, shard, part))]) == Cost(None, Decimal(0))


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


GROUPS: list[tuple[str | None, list[tuple[str | None, int, int]]]] = [
    (None, [(None, 2, 9)]),
    ("day", [("today", 2, 9)]),
    ("provider", [("openai", 2, 9)]),
    ("credential", [(None, 2, 9)]),
    ("model", [("m-1", 2, 8), ("other", 1, 1)]),
    ("metadata.team", [("red", 1, 8), (None, 1, 1)]),
]


def test_costs_add_up_to_the_providers_bill(tmp_path: Path) -> None:
    """By any group, batches that were purged included; what has no price makes its groups unknown."""
    with sending(tmp_path, "openai", Scenario()) as sent:
        sent.client.purge(sent.send("openai", [*PROMPTS[:-1], "b@other"], metadata={"team": "red"}))
        sent.send("openai", ["last"])
        bill = [charge for charge in sent.bill() if charge.prompt != "b"]
        today, _ = next(days_of(sent.context.storage))
        for by, groups in GROUPS:
            sums = sent.client.costs(by)
            expected = [(today if group == "today" else group, *counts) for group, *counts in groups]
            assert [(each.group, each.batches, each.rows) for each in sums] == expected
            assert sum(each.known_cost for each in sums) == cost(bill) > 0
            unknown = [each.group for each in sums if each.cost is None]
            assert unknown == ["other" if by == "model" else expected[0][0]]
        assert sent.client.costs(since=date(2020, 1, 1), until=date(2020, 12, 31)) == []
        with pytest.raises(ValidationError, match=r"by 'metadata\.' is none of day, model, provider, cred"):
            sent.client.costs("metadata.")


def test_an_estimate_learns_from_earlier_batches(tmp_path: Path) -> None:
    """Before the first one it goes by the size of texts and `max_tokens`; after it, the rows cost what they did."""
    rows: Any = {"requests": ROWS, "model": "m-1", "generation_config": {"max_tokens": 50}}
    with sending(tmp_path, "openai", Scenario()) as sent:
        first = sent.client.estimate("openai", **rows)
        status = sent.client.status(sent.send("openai", PROMPTS))
        then = sent.client.estimate("openai", **rows)
    assert (first.models[0].input_from, first.input_tokens) == ("size", sum(map(len, PROMPTS)) // 4)
    assert (first.models[0].output_from, first.output_tokens) == ("max_tokens", 50 * len(PROMPTS))
    assert (first.rows, first.shards, then.shards) == (len(PROMPTS), 2, len(status.shards))
    assert (then.input_tokens, then.output_tokens) == (status.tokens.input_tokens, status.tokens.output_tokens)
    assert (then.cost, then.list_cost) == (status.cost, None)


def test_an_estimate_says_what_is_unknown(tmp_path: Path) -> None:
    """The output of rows without `max_tokens`, and the cost of a model without a price; native rows count whole."""
    rows: Any
    body = {"max_tokens": 7, "messages": [{"role": "user", "content": "x" * 400}]}
    native = [{"custom_id": "n", "params": body}, {"custom_id": "o", "params": body | {"model": "other"}}]
    rates = {"input": Decimal(1), "output": Decimal(2), "list_factor": Decimal(3)}
    prices = Prices([Price(provider="anthropic", model="m-1", since=date(2020, 1, 1), **rates)])
    settings, rows = Settings(home=tmp_path), {"requests": native, "model": "m-1"}
    found = estimate(settings, FolderStorage(tmp_path), prices, AnthropicProvider, rows)
    known, unknown = found.models
    assert (known.model, known.output_tokens, known.list_cost) == ("m-1", 7, 3 * (known.cost or 0))
    assert 100 <= known.input_tokens <= 120
    assert (unknown.model, unknown.output_tokens, unknown.cost) == ("other", 7, None)
    assert found.cost is found.list_cost is None
    rows = {"requests": [{"custom_id": "a", "prompt": "x"}], "model": "m-1"}
    (model,) = estimate(settings, FolderStorage(tmp_path), prices, OpenAIProvider, rows).models
    assert (model.output_tokens, model.output_from, model.cost) == (None, None, None)


def test_an_estimate_refuses_what_would_be_refused(tmp_path: Path) -> None:
    """All bad rows at once, and those that no job has room for, which a submission finds out later."""
    rows: Any = [
        {"custom_id": "a", "prompt": "x"},
        {"custom_id": "b", "promt": "x"},
        {"custom_id": "c", "prompt": "x" * 5000},
    ]
    settings = Settings(home=tmp_path, max_shard_bytes=4000)
    with pytest.raises(InvalidInputError) as refused:
        estimate(settings, FolderStorage(tmp_path), Prices(), OpenAIProvider, {"requests": rows, "model": "m"})
    assert re.search(
        r"requests\[1\]: .*promt.*\n.*requests\[2\]: the row is larger than a job may be", str(refused.value)
    )
