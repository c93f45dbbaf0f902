"""A fleet whose Redis is lost, or stopped and started again, as its operator sees it."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency

from .stack import Stack, run_stack

_ROWS = "".join(json.dumps({"custom_id": str(row), "prompt": f"Row {row}"}) + "\n" for row in range(4))
_JOBS = 2


@pytest.fixture
def service() -> Iterator[Simulator]:
    """A provider whose jobs last until it is told otherwise."""
    with Simulator(Scenario(latency=Latency(in_progress=600))) as running:
        yield running


def fleet(home: Path, service: Simulator) -> AbstractContextManager[Stack]:
    url = f"{service.url}/openai/v1"
    return run_stack(home, None, "io", "cpu", BATCH_ROUTER_OPENAI_BASE_URL=url, BATCH_ROUTER_MAX_SHARD_ROWS="2")


def submit(stack: Stack) -> None:
    """A batch whose jobs run."""
    (stack.home / "rows.jsonl").write_text(_ROWS)
    given = ("--provider", "openai", "--model", "m", "--batch-id", "b")
    assert stack.cli("submit", "rows.jsonl", *given).returncode == 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not all(jobs := jobs_of(stack)):
        time.sleep(0.2)
    assert len(jobs) == _JOBS


def jobs_of(stack: Stack) -> list[str | None]:
    shards = stack.client.status("b").shards
    return [shard.job_id for shard in shards] or [None]


def calls(service: Simulator, method: str) -> int:
    """How often the service was asked to create a job (POST), or to list its jobs (GET)."""
    return sum((each["method"], each["path"]) == (method, "/openai/v1/batches") for each in service.requests())


def test_a_lost_redis_is_rebuilt(tmp_path: Path, service: Simulator) -> None:
    """Nothing of the state is left: `rebuild` finds the batch, its jobs are found again, and none is created twice."""
    home = tmp_path / "home"
    with fleet(home, service) as stack:
        submit(stack)
        before = set(jobs_of(stack))
    shutil.rmtree(home / "redis")
    with fleet(home, service) as stack:
        assert stack.cli("status", "b").returncode != 0
        done = stack.cli("rebuild")
        assert (done.returncode, done.stdout) == (0, "b\n")
        assert stack.cli("rebuild").returncode == 2
        service.change(Scenario())
        assert stack.cli("watch", "b", timeout=120).returncode == 0
        assert set(jobs_of(stack)) == before
        results = [json.loads(line) for line in stack.cli("results", "b").stdout.splitlines()]
    assert [(row["custom_id"], row["status"]) for row in results] == [(str(row), "succeeded") for row in range(4)]
    assert calls(service, "POST") == _JOBS


def test_a_clean_restart_asks_the_provider_nothing(tmp_path: Path, service: Simulator) -> None:
    """Stop and start `up` while jobs run: no look through the provider's jobs, and a new batch is created at once."""
    home = tmp_path / "home"
    with fleet(home, service) as stack:
        submit(stack)
    with fleet(home, service) as stack:
        service.change(Scenario())
        assert stack.cli("watch", "b", timeout=120).returncode == 0
    assert (calls(service, "POST"), calls(service, "GET")) == (_JOBS, 0)
