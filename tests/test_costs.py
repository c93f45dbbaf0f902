"""What a batch costs: its tokens as the provider's own bill has them."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from batch_router import BatchRouter, BatchStatusResponse
from batch_router.providers import AnthropicProvider, GoogleProvider, OpenAIProvider, Provider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.bill import Charge
from batch_router.simulator.scenario import Misfit
from tests.providers import schema_classes as classes

KINDS = {"openai": (OpenAIProvider, "/openai/v1"), "anthropic": (AnthropicProvider, "/anthropic"),
         "google": (GoogleProvider, "/google")}  # fmt: skip


class Ended(NamedTuple):
    """A batch that has ended, and the bill of its provider."""

    status: BatchStatusResponse
    bill: list[Charge]


def send(home: Path, name: str, scenario: Scenario, prompts: list[str], **options: Any) -> Ended:
    """Send a batch to a simulated provider."""

    async def main(url: str) -> BatchStatusResponse:
        kind, path = KINDS[name]
        provider: Provider = kind(api_key="sk-1", base_url=url + path)
        rows = [{"custom_id": prompt, "prompt": prompt} for prompt in prompts]
        async with BatchRouter(Settings(home=home, max_shard_rows=5), in_memory=True) as router:
            router.register_provider(provider)
            batch_id = await router.send_batch(name, rows, model="m-1", **{"generation_config": LIMIT} | options)
            await router.wait_for_completion(name, batch_id, verbose=False)
            return await router.get_status(name, batch_id)

    with Simulator(scenario) as simulator:
        status = asyncio.run(main(simulator.url))
        return Ended(status, simulator.bill())


LIMIT = {"max_tokens": 50}
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
def test_tokens_are_those_of_the_providers_bill(
    tmp_path: Path, name: str, day: dict[str, Any], options: dict[str, Any]
) -> None:
    """To the token, with rows that go again, answers that are thrown away, and answers that come twice."""
    status, bill = send(tmp_path, name, Scenario(**day), PROMPTS, **options)
    tokens = status.tokens
    assert (tokens.answers, tokens.uncounted) == (len(bill), 0)
    assert tokens.input_tokens == sum(charge.input_tokens for charge in bill)
    assert tokens.output_tokens == sum(charge.output_tokens for charge in bill)
    assert tokens.total > 0
    assert sum(shard.tokens.total for shard in status.shards) == tokens.total
