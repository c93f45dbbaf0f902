"""What one kill does: nothing."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .stack import Stack, run_stack

# The first download hangs; a second one is answered at once.
SCENARIO = '[[faults]]\nmatch = "GET /files/.*/content"\ndo = "delay"\nseconds = 300\n'


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL in the middle of a download: another worker takes over when the lease ends, with the same job."""
    lease = {"BATCH_ROUTER_LEASE": "3", "BATCH_ROUTER_RENEW_EVERY": "1", "BATCH_ROUTER_GRACE": "1"}
    with run_stack(tmp_path / "home", SCENARIO, "cpu", **lease) as stack, io_worker(stack, "first") as first:
        batch_id = stack.client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "Hello"}])
        wait_for_state(stack, batch_id, "downloading")
        with io_worker(stack, "second"):
            first.kill()
            status = stack.client.wait(batch_id, timeout=60)
    assert status.request_counts.succeeded == 1
    assert [shard["job_id"] for shard in status.shards] == ["batch_000001"]


def wait_for_state(stack: Stack, batch_id: str, state: str) -> None:
    deadline = time.monotonic() + 30
    while [shard["state"] for shard in stack.client.status(batch_id).shards] != [state]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def io_worker(stack: Stack, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """An I/O worker that is not one of the stack's, so that the stack outlives it."""
    celery = Path(sys.executable).with_name("celery")
    command = [celery, "-A", "workers.app", "worker", "-n", f"{name}@%h", "-Q", "io,poll", "-P", "threads", "-c", "4"]
    url = f"{stack.simulator_url}/openai/v1"
    environment = stack.environment | {"BATCH_ROUTER_OPENAI_BASE_URL": url}
    with (stack.home / f"{name}.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        while not any(listener.startswith(f"{name}@") for listener in stack.client.listeners("io")):
            assert worker.poll() is None, (stack.home / f"{name}.log").read_text()
            time.sleep(0.1)
        yield worker
    finally:
        worker.kill()
        worker.wait()
