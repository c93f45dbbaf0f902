"""Native rows on the whole road: what the service receives, also of rows that go again."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from batch_router import BatchRouter
from batch_router.client import BatchClient
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Refusal

# Numbers, spaces and repeated keys that any rewriting would change; and what looks like row ids of ours.
BODY = b'{"model": "%b", "max_tokens":9, "x":1.0 ,"y":123456789012345678901234567890, "z":1, "z":2, "messages": %b}'
MESSAGES = b'[{"role":"user","content":"say \\u00e9 \\"0123456789abcdef-0\\" %d"}]'
REQUEST = b'{"contents":[{"parts":[{"text":"say %d"}]}], "x":1.0 ,"custom_id":"0123456789abcdef-0", "x":2}'
LINES = {
    "openai": b'{"custom_id": "q%d", "method": "POST", "url": "/v1/chat/completions", "body": %b}',
    "anthropic": b'{"custom_id": "q%d", "params": %b}',
    "google": b'{"key": "q%d", "request": %b}',
}


def bodies(provider: str, count: int) -> list[bytes]:
    if provider == "google":
        return [REQUEST % number for number in range(count)]
    return [BODY % (b"m", MESSAGES % number) for number in range(count)]


async def send(router: BatchRouter, provider: str, rows: list[bytes], url: str) -> str:
    base = f"{url}/openai/v1" if provider == "openai" else f"{url}/{provider}"
    router.register_provider(find_provider(provider)(api_key="k", base_url=base))
    lines = [msgspec.Raw(LINES[provider] % (number, body)) for number, body in enumerate(rows)]
    batch_id = await router.send_batch(provider, cast(Any, lines), model="m")
    await router.wait_for_completion(provider, batch_id, poll_interval=0.05)
    return batch_id


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_rows_that_go_again_stay_what_they_are(provider: str, tmp_path: Path) -> None:
    """Rows of an expired job go again in jobs of their own, byte for byte, each under a row id of the new job."""
    rows = bodies(provider, 5)

    async def main(url: str) -> None:
        async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
            await send(router, provider, rows, url)

    with Simulator(Scenario(expire_after=0.5)) as simulator:
        asyncio.run(main(simulator.url))
        received = simulator.received()
    assert {row.body for row in received} == set(rows)
    assert len(received) > len(rows)
    assert max(Counter(row.id for row in received).values()) == 1


@pytest.mark.parametrize("provider", LINES)
def test_retry_sends_the_very_rows(provider: str, tmp_path: Path) -> None:
    """The failed rows of a batch that has ended, as a batch of their own: as they were submitted."""
    rows = bodies(provider, 3)

    async def main(url: str) -> str:
        async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
            batch_id = await send(router, provider, rows, url)
            again = BatchClient((await router._client())._client._context).retry(batch_id)
            await router.wait_for_completion(provider, again, poll_interval=0.05)
            return again

    with Simulator(Scenario(refuse=(Refusal(match="1$"),))) as simulator:
        asyncio.run(main(simulator.url))
        received = [row.body for row in simulator.received()]
    assert received == [*rows, rows[1]]


def test_a_batch_may_hold_rows_of_all_forms(tmp_path: Path) -> None:
    """Native and unified rows of one file share a shard, and each has its answer."""
    url, body = "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "native"}]}
    rows: list[dict[str, Any]] = [
        {"custom_id": "a", "prompt": "short"},
        {"custom_id": "b", "method": "POST", "url": url, "body": body},
        {"custom_id": "c", "messages": [{"role": "user", "content": "unified"}]},
    ]

    async def main(url: str) -> list[Any]:
        async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
            router.register_provider(find_provider("openai")(api_key="k", base_url=f"{url}/openai/v1"))
            batch_id = await router.send_batch("openai", rows, model="m")
            await router.wait_for_completion("openai", batch_id, poll_interval=0.05)
            return [result async for result in router.get_results("openai", batch_id)]

    with Simulator() as simulator:
        results = asyncio.run(main(simulator.url))
        received = simulator.received()
    assert [(result.custom_id, result.text) for result in results] == [
        ("a", "short"),
        ("b", "native"),
        ("c", "unified"),
    ]
    assert len({row.job for row in received}) == 1
    assert json.loads(received[1].body) == body
