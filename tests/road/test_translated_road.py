"""Rows of other providers' batch files on the whole road: the simulated services take what is sent of them."""

import asyncio
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from batch_router import BatchRouter
from batch_router.exceptions import ValidationError
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Simulator
from tests.conftest import ROOT
from tests.dialects import OWN, row_of, send

FEATURES: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests" / "dialect_features.toml").read_text())
PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google"}
# Embeddings go out in jobs of their own, to models of their own.
DIALECTS = [dialect for dialect in FEATURES if dialect != "embeddings"]


def foreign_rows(provider: str) -> dict[str, Any]:
    """Every feature of the other dialects that is sent, by the row's id: the row, and the request that it becomes."""
    rows: dict[str, Any] = {}
    for dialect in DIALECTS:
        for feature, members in FEATURES[dialect].items() if provider not in OWN[dialect] else ():
            row = row_of(dialect, **json.loads(members))
            name = f"{dialect} {feature}"
            row["key" if "key" in row else "custom_id"] = name
            try:
                rows[name] = row, send(provider, row, "drop").request
            except ValidationError:
                continue
    return rows


@pytest.mark.parametrize("provider", PATHS)
def test_translated_rows_are_answered(provider: str, tmp_path: Path) -> None:
    """Each is received as it was translated, none is refused, and the answer has the user's id."""
    rows = foreign_rows(provider)

    async def main(url: str) -> list[Any]:
        async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
            router.register_provider(find_provider(provider)(api_key="k", base_url=url + PATHS[provider]))
            given = [row for row, _ in rows.values()]
            batch_id = await router.send_batch(provider, given, model="m", unsupported="drop")
            await router.wait_for_completion(provider, batch_id, poll_interval=0.05)
            return [result async for result in router.get_results(provider, batch_id)]

    with Simulator() as simulator:
        results = asyncio.run(main(simulator.url))
        received = [json.loads(row.body) for row in simulator.received()]
    assert {result.custom_id: result.error and result.error.message for result in results} == dict.fromkeys(rows)
    assert received == [request for _, request in rows.values()]
