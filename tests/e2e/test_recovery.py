"""What one kill does: nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batch_router.client import BatchClient
from batch_router.connect import open_context, state_server
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from tests.receiver import NEW, Receiver
from tests.worker.fleet import environment_of, worker

from .stack import KEY, Stack, processes_of, run_stack

ROWS = [{"custom_id": "a", "prompt": "Hello"}]
# The first download hangs; a second one is answered at once.
SCENARIO = '[[faults]]\nmatch = "GET /files/.*/content"\ndo = "delay"\nseconds = 300\n'


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL in the middle of a download: another worker takes over when the lease ends, with the same job."""
    lease = {"BATCH_ROUTER_LEASE": "4", "BATCH_ROUTER_RENEW_EVERY": "1", "BATCH_ROUTER_GRACE": "1"}
    with run_stack(tmp_path / "home", SCENARIO, "cpu", **lease) as stack, io_worker(stack, "first") as first:
        batch_id = submit_one(stack)
        wait_for_state(stack, batch_id, "downloading")
        with io_worker(stack, "second"):
            first.kill()
            status = stack.client.wait(batch_id, timeout=60)
    assert status.request_counts.succeeded == 1
    assert [shard.job_id for shard in status.shards] == ["batch_000001"]


def test_a_worker_that_is_asked_to_end_hands_its_work_on(tmp_path: Path) -> None:
    """SIGTERM while a job is polled: the worker ends by itself, and another one sees the batch through."""
    with run_stack(tmp_path / "home", "[latency]\nin_progress = 8\n", "cpu") as stack:
        with io_worker(stack, "first") as first:
            batch_id = submit_one(stack)
            wait_for_state(stack, batch_id, "polling")
            first.terminate()
            assert first.wait(timeout=30) == 0
        with io_worker(stack, "second"):
            status = stack.client.wait(batch_id, timeout=60)
    assert (status.request_counts.succeeded, status.shards[0].job_id) == (1, "batch_000001")


def test_a_process_of_the_stack_that_ends_is_started_again(tmp_path: Path) -> None:
    """A killed worker comes back, the others stay, and the whole stack still ends when it is asked to."""
    with Simulator(Scenario()) as service, run_stack(tmp_path / "home", None, "io", "cpu", **to(service)) as stack:
        (killed,) = (
            pid for pid, command in processes_of(stack.home).items() if "io@%h" in command and "guard.py" not in command
        )
        os.kill(killed, signal.SIGKILL)
        batch_id = submit_one(stack)
        assert stack.client.wait(batch_id, timeout=60).request_counts.succeeded == 1
        assert "io ended (rc=137); it starts again in 1 s" in stack.log.read_text()
    assert "cpu ended" not in stack.log.read_text()
    assert processes_of(stack.home) == {}


def test_a_worker_that_looks_elsewhere_for_the_payloads_ends(tmp_path: Path) -> None:
    """It says which setting is wrong, and takes no work that it could not do."""
    with Simulator(Scenario()) as service, run_stack(tmp_path / "home", None, "io", "cpu", **to(service)) as stack:
        assert stack.client.wait(submit_one(stack), timeout=60).request_counts.succeeded == 1
        stray = stack.environment | {
            "BATCH_ROUTER_HOME": str(tmp_path / "elsewhere"),
            "BATCH_ROUTER_REDIS_URL": state_server(Settings(home=stack.home)).url,
        }
        command = [
            str(Path(sys.executable).with_name("celery")),
            "-A",
            "batch_router.worker",
            "worker",
            "-n",
            "stray@%h",
        ]
        done = subprocess.run(command, env=stray, capture_output=True, text=True, timeout=60)
        assert "is another storage: set BATCH_ROUTER_HOME to it" in done.stdout + done.stderr
        assert done.returncode == os.EX_CONFIG
        assert stack.client.wait(submit_one(stack), timeout=60).request_counts.succeeded == 1


def test_a_worker_that_dies_before_it_notes_a_webhook_sends_it_again(tmp_path: Path, valkey: str) -> None:
    """SIGKILL between the POST and the commit: another worker sends the same message; the results were there before."""
    with closing(Receiver()) as receiver, Simulator(Scenario()) as simulator:
        own = {"LEASE": "4", "RENEW_EVERY": "1", "GRACE": "1", "WEBHOOK_SECRET": NEW, "WEBHOOK_PRIVATE": "true"}
        own |= {"OPENAI_BASE_URL": f"{simulator.url}/openai/v1"}
        variables = {f"BATCH_ROUTER_{name}": value for name, value in own.items()}
        fleet = environment_of(tmp_path / "fleet", valkey.replace("/0", "/2"), OPENAI_API_KEY=KEY, **variables)
        with closing(BatchClient(open_context(Settings.from_env(fleet)))) as client:
            receiver.goes_on.clear()  # it takes the message, and holds back its answer
            with worker(fleet, "-n", "first@%h") as first:
                batch_id = client.submit("openai", model="m", requests=ROWS, webhook=receiver.url)
                eventually(lambda: receiver.got)
                assert client.wait(batch_id, timeout=60).request_counts.succeeded == 1
                first.process.kill()
            receiver.goes_on.set()
            with worker(fleet, "-n", "second@%h"):
                eventually(lambda: client.status(batch_id).notices[0].state == "completed")
    (first_id, event), again = receiver.messages()
    assert (event.type, again) == ("batch.completed", (first_id, event))


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def to(service: Simulator) -> dict[str, str]:
    return {"BATCH_ROUTER_OPENAI_BASE_URL": f"{service.url}/openai/v1"}


def submit_one(stack: Stack) -> str:
    return stack.client.submit("openai", model="m", requests=ROWS)


def wait_for_state(stack: Stack, batch_id: str, state: str) -> None:
    deadline = time.monotonic() + 30
    while [shard.state for shard in stack.client.status(batch_id).shards] != [state]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def io_worker(stack: Stack, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """An I/O worker that is not one of the stack's, so that the stack outlives it."""
    celery = str(Path(sys.executable).with_name("celery"))
    app = [celery, "-A", "batch_router.worker", "worker"]
    command = [
        *app,
        "-n",
        f"{name}@%h",
        "-Q",
        "io,poll",
        "-P",
        "threads",
        "-c",
        "4",
    ]
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
