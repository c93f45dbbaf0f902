"""Every code block of the pages runs, in a stack with simulated providers and the files that the pages speak of."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import Block, blocks, commands, tried_elsewhere

from .stack import Stack, run_stack

ROOT = Path(__file__).parents[2]
PROVIDERS = {"OPENAI": "/openai/v1", "ANTHROPIC": "/anthropic", "GOOGLE": "/google"}
RUN = [block for block in blocks("sh") if not all(map(tried_elsewhere, commands(block)))]


#: What is asked of an app that a block defines.
ASK_FASTAPI = """
from fastapi.testclient import TestClient
with TestClient(app) as web:
    batch_id = web.post("/questions", json=["Hello?"]).json()["batch_id"]
    while web.get(f"/batches/{batch_id}").json()["status"] != "completed":
        pass
    assert web.get(f"/batches/{batch_id}/answers").json() == ["Hello?"]
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack as a reader of the pages has it: in the home are the rows and the table that they show."""
    home = tmp_path_factory.mktemp("reader")
    brokers = {"BATCH_ROUTER_CALLBACK_BROKERS": '{"shop": "redis://shop-redis:6379/0"}'}
    with run_stack(home, "", "io", "cpu", **brokers) as stack:
        stack.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{stack.environment['PATH']}"
        for name, path in PROVIDERS.items():
            stack.environment[f"BATCH_ROUTER_{name}_BASE_URL"] = stack.simulator_url + path
            stack.environment[f"{name}_API_KEY"] = "sk-reader"
        (rows,) = blocks("jsonl")[:1]
        (home / "requests.jsonl").write_text(rows.text)
        (table,) = blocks("csv")
        (home / "tickets.csv").write_text(table.text)
        labels = next(block for block in blocks("python") if block.page == table.page)
        (home / "labels.py").write_text(labels.text)
        yield stack


def run(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=stack.home, env=stack.environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_a_python_block_is_a_program(reader: Stack, block: Block) -> None:
    """It runs by itself, from its first line to its last; an app that it defines answers."""
    asked = ASK_FASTAPI if '"/questions"' in block.text else ""
    done = run(reader, sys.executable, "-c", block.text + asked)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_shell_block_runs(reader: Stack, block: Block) -> None:
    """Its commands succeed one after the other, but for those that other tests run."""
    for command in commands(block):
        if not tried_elsewhere(command):
            done = run(reader, "bash", "-c", command)
            assert done.returncode == 0, f"{command}\n{done.stderr}"
