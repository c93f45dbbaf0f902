"""A provider that another package brings by entry point: found, and taken along the whole road, with nothing edited."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from batch_router import BatchRouter, providers
from batch_router.providers import find_provider, provider_names
from batch_router.settings import Settings

from .conftest import ROOT
from .e2e.stack import clean_environment

PACKAGE = Path(__file__).parent / "fifth_provider"


def test_it_is_found_and_goes_the_whole_road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """250 rows in three jobs by its own limit of 100, each answered once, in order."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    monkeypatch.setattr(providers, "_installed", providers._installed.__wrapped__)  # it keeps what was installed before
    assert "echo" in provider_names()

    async def main() -> list[tuple[str, str | None]]:
        async with BatchRouter(Settings(home=tmp_path), in_memory=True) as router:
            router.register_provider(find_provider("echo")())
            rows = [{"custom_id": f"{number}", "prompt": f"say {number}"} for number in range(250)]
            batch_id = await router.send_batch("echo", rows, model="any")
            status = await router.wait_for_completion("echo", batch_id)
            assert len(status.shards) == 3
            return [(result.custom_id, result.text) async for result in router.get_results("echo", batch_id)]

    assert asyncio.run(main()) == [(f"{number}", f"say {number}") for number in range(250)]


def test_the_command_line_knows_it(tmp_path: Path) -> None:
    """Its rules speak where the built-in providers' do; without its package there is no such provider."""
    (tmp_path / "in.jsonl").write_text('{"custom_id": "a", "prompt": "Hello", "model": "any"}\n')
    command = [sys.executable, "-m", "batch_router.cli", "convert", "in.jsonl", "--provider", "echo"]
    environment = clean_environment(tmp_path)

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment | more, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert run(PYTHONPATH=str(PACKAGE)).stdout == '{"id":"0","say":"Hello"}\n'
    assert "Provider 'echo' not found; known: " in run().stderr


def test_it_is_small() -> None:
    """What a provider must say for itself fits in a hundred lines; the figure in the docs is the file's."""
    lines = len((PACKAGE / "echo_provider.py").read_text().splitlines())
    assert lines < 100
    assert f"{lines} lines" in (ROOT / "docs" / "extending.md").read_text()
