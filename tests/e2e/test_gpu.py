"""vLLM batches on the GPU queue, through real workers and real engine processes of the stand-in."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.providers.vllm_runs import answer_files
from tests.providers.vllm_runs import engines_of as engines

from .stack import Stack, run_stack

ROWS = [{"custom_id": f"row {number}", "prompt": f"say {number}"} for number in range(40)]
LEASE = {"BATCH_ROUTER_LEASE": "4", "BATCH_ROUTER_RENEW_EVERY": "1", "BATCH_ROUTER_GRACE": "1"}


def answers(stack: Stack, batch_id: str) -> list[tuple[str, str | None]]:
    return [(result.custom_id, result.text) for result in stack.client.results(batch_id)]


@contextmanager
def gpu_worker(stack: Stack, name: str, engine: str = "serve") -> Iterator["subprocess.Popen[bytes]"]:
    """A GPU worker that is not one of the stack's, in a process group of its own."""
    celery = str(Path(sys.executable).with_name("celery"))
    app = [celery, "-A", "batch_router.worker", "worker"]
    command = [
        *app,
        "-n",
        f"{name}@%h",
        "-Q",
        "gpu",
        "-P",
        "prefork",
        "-c",
        "1",
    ]
    stand_in = f"{sys.executable} -m batch_router.simulator.vllm"
    environment = stack.environment | {
        "BATCH_ROUTER_VLLM_COMMAND": stand_in,
        "BATCH_ROUTER_VLLM_SCENARIO": str(stack.home / "gpu.toml"),
        "BATCH_ROUTER_VLLM_ENGINE": engine,
    }
    with (stack.home / f"{name}.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while not any(listener.startswith(f"{name}@") for listener in stack.client.listeners("gpu")):
            assert worker.poll() is None, (stack.home / f"{name}.log").read_text()
            time.sleep(0.1)
        yield worker
    finally:
        kill(worker)


def kill(worker: "subprocess.Popen[bytes]") -> None:
    """Kill the worker and its pool; engines have groups of their own, and live on."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def test_a_vllm_batch_stays_on_the_gpu_queue(tmp_path: Path) -> None:
    """A worker that listens on `gpu` alone takes the batch from its rows to its results."""
    with run_stack(tmp_path / "home", "", "gpu") as stack:
        batch_id = stack.client.submit("vllm", model="tiny", requests=ROWS)
        status = stack.client.wait(batch_id, timeout=60)
        assert status.request_counts.succeeded == 40
        assert answers(stack, batch_id) == [(f"row {number}", f"say {number}") for number in range(40)]


@pytest.mark.parametrize("engine", ["serve", "run-batch"])
def test_a_killed_gpu_worker_loses_nothing(tmp_path: Path, engine: str) -> None:
    """SIGKILL in the middle of a run: the next worker ends the engine that was left, and runs the other rows alone."""
    home = tmp_path / "home"
    with run_stack(home, None, "cpu", **LEASE) as stack:
        (home / "gpu.toml").write_text("[latency]\nin_progress = 80\n")
        with gpu_worker(stack, "first", engine) as first:
            batch_id = stack.client.submit("vllm", model="tiny", requests=ROWS)
            out = wait_for_answers(home, 3)
            kill(first)
        kept = out.read_bytes().count(b"\n")
        (home / "gpu.toml").write_text("")
        with gpu_worker(stack, "second", engine):
            status = stack.client.wait(batch_id, timeout=60)
        assert status.request_counts.succeeded == 40
        assert answers(stack, batch_id) == [(f"row {number}", f"say {number}") for number in range(40)]
        assert kept >= 3
    assert engines(home) == []


def test_a_running_batch_can_be_cancelled(tmp_path: Path) -> None:
    """The engine ends at once; what it had answered is kept, and the rest is cancelled."""
    with run_stack(tmp_path / "home", "[latency]\nin_progress = 120\n", "gpu", **LEASE) as stack:
        batch_id = stack.client.submit("vllm", model="tiny", requests=ROWS)
        wait_for_answers(stack.home, 1)
        assert stack.client.cancel(batch_id)
        counts = stack.client.wait(batch_id, timeout=60).request_counts
        assert counts.succeeded >= 1
        assert counts.succeeded + counts.cancelled == 40
        assert engines(stack.home) == []


def test_a_stopped_gpu_worker_hands_its_shard_on(tmp_path: Path) -> None:
    """SIGTERM in the middle of a run: the worker ends, its engine with it; another one goes on with the other rows."""
    home = tmp_path / "home"
    with run_stack(home, None, "cpu", **LEASE) as stack:
        (home / "gpu.toml").write_text("[latency]\nin_progress = 80\n")
        with gpu_worker(stack, "first") as first:
            batch_id = stack.client.submit("vllm", model="tiny", requests=ROWS)
            wait_for_answers(home, 3)
            first.terminate()
            first.wait(30)
            assert engines(home) == []
        shard = stack.client.status(batch_id).shards[0]
        assert (shard.state, shard.claimed_by) == ("creating", None)
        (part,) = home.rglob("*.part-*.jsonl")
        kept = part.read_bytes()
        (home / "gpu.toml").write_text("")
        with gpu_worker(stack, "second"):
            status = stack.client.wait(batch_id, timeout=60)
        assert status.request_counts.succeeded == 40
        (answers_file,) = home.rglob("*-answers-0.jsonl")
        assert kept.count(b"\n") >= 3
        assert answers_file.read_bytes().startswith(kept)


@pytest.mark.parametrize("engine", ["serve", "run-batch"])
def test_what_a_dead_worker_left_is_ended_at_the_next_start(tmp_path: Path, engine: str) -> None:
    """Worker and guard were killed, and no worker has their batch: the engine goes, its rows were kept."""
    home = tmp_path / "home"
    with run_stack(home, None, "cpu", BATCH_ROUTER_LEASE="300", BATCH_ROUTER_RENEW_EVERY="1") as stack:
        (home / "gpu.toml").write_text("[latency]\nin_progress = 300\n")
        with gpu_worker(stack, "first", engine) as first:
            stack.client.submit("vllm", model="tiny", requests=ROWS)
            wait_for_answers(home, 1)
            os.killpg(first.pid, signal.SIGSTOP)  # it would notice, and try again
            for pid in engines(home):
                if "guard.py" in " ".join(psutil.Process(pid).cmdline()):
                    os.kill(pid, signal.SIGKILL)
            kill(first)
        assert len(engines(home)) == 2, "the engine, and its own process"
        with gpu_worker(stack, "second", engine):
            deadline = time.monotonic() + 60
            while engines(home):
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_a_running_batch_says_how_far_it_is(tmp_path: Path) -> None:
    """Rows done, their pace and the time left, while the engine works."""
    with run_stack(tmp_path / "home", "[latency]\nin_progress = 30\n", "gpu", **LEASE) as stack:
        batch_id = stack.client.submit("vllm", model="tiny", requests=ROWS)
        deadline = time.monotonic() + 60
        while (status := stack.client.status(batch_id)).request_counts.succeeded < 3 or not status.shards[0].eta_s:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert status.shards[0].completed == status.request_counts.succeeded < 40
        assert (status.shards[0].rows_per_s or 0) > 0
        assert stack.client.cancel(batch_id)
        stack.client.wait(batch_id, timeout=60)


def wait_for_answers(home: Path, count: int) -> Path:
    deadline = time.monotonic() + 60
    while True:
        for path in answer_files(home):
            if path.exists() and path.read_bytes().count(b"\n") >= count:
                return path
        assert time.monotonic() < deadline
        time.sleep(0.05)
