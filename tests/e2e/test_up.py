"""`batch-router up` as an operator meets it: one per home, quiet, and nothing of it outlives it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batch_router.cli import cli
from batch_router.cli.attention import Attention
from batch_router.cli.owner import is_owned
from batch_router.cli.readiness import forget_listeners
from batch_router.connect import open_store
from batch_router.exceptions import ValidationError
from batch_router.settings import Settings
from batch_router.system_errors import describe

from .stack import Stack, clean_environment, end_process, processes_of, run_stack

# Longer than a guard gives the program that it ends.
_END_WITHIN = 20


def test_a_home_has_one_stack(stack: Stack) -> None:
    """A second `up` says who has the home and what to do, and does not touch the first."""
    before = processes_of(stack.home)
    second = stack.cli("up")
    assert second.returncode == 2
    assert "`batch-router up --simulate` (process " in second.stderr
    assert "already runs in" in second.stderr
    assert processes_of(stack.home) == before


def test_a_killed_stack_leaves_nothing_running(tmp_path: Path) -> None:
    """SIGKILL of `up` alone ends its workers, their children, the simulator and the server.

    The batch that is left is a simulated one: an `up` with real providers refuses the home.
    """
    with run_stack(tmp_path / "home", "", "cpu") as stack:
        (up,) = (pid for pid, command in processes_of(stack.home).items() if "batch_router.cli up" in command)
        stack.client.submit("openai", model="m", requests=[{"custom_id": "a", "prompt": "x"}])
        os.kill(up, signal.SIGKILL)
        wait_until_alone(stack.home)
        del stack.environment["BATCH_ROUTER_SIMULATED"]
        real = stack.cli("up")
        assert (real.returncode, "go to a simulated service" in real.stderr) == (2, True), real.stderr


@pytest.mark.parametrize("by", ["SIGHUP", "a reader that is gone"])
def test_a_stack_ends_with_its_terminal(by: str, tmp_path: Path) -> None:
    """A closed terminal or pipe ends all that runs; until then `up` says only that it is ready, and what to type."""
    with quiet_up(tmp_path) as up:
        assert up.stdout
        submits_in_the_first_seconds(tmp_path)
        assert up.stdout.readline().startswith(b"Ready after ")
        if by == "SIGHUP":
            up.send_signal(signal.SIGHUP)
        up.stdout.close()
        assert up.wait(_END_WITHIN) == 130
    wait_until_alone(tmp_path)


def test_a_stack_whose_worker_cannot_work_ends(tmp_path: Path) -> None:
    """A server that is away is waited for; a wrong setting is said once, and no worker is started again."""
    url = "redis://:hush@127.0.0.1:1/0"
    environment = clean_environment(tmp_path, BATCH_ROUTER_REDIS_URL=url, BATCH_ROUTER_CELERY_CONFIG="nope")
    command = [sys.executable, "-m", "batch_router.cli", "up", "io"]
    up = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert up.returncode == 2, up
    assert re.search(r"^Redis at 127.0.0.1:1 does not answer .* The workers wait for it\.$", up.stdout, re.MULTILINE)
    assert up.stdout.count("Error: BATCH_ROUTER_CELERY_CONFIG: No module named 'nope'") == 1
    assert "io cannot work with these settings, as it says above (rc=78): the stack ends" in up.stdout


def test_what_needs_attention_is_shown() -> None:
    """Warnings with the lines that belong to them, each once; the rest is kept for the end of the process."""
    attention = Attention(everything=False)
    lines = {
        b" -------------- io@host v5.6.3\n": False,
        b"[2026-11-27 02:31:31,123: INFO/MainProcess] ready\n": False,
        b"[2026-11-27 02:31:32,123: ERROR/MainProcess] action=failed\n": True,
        b"  | Traceback (most recent call last):\n": True,
        b"[2026-11-27 02:31:33,123: WARNING/ForkPoolWorker-1] action=waiting\n": True,
        b"[2026-11-27 02:31:35,123: WARNING/ForkPoolWorker-1] action=waiting\n": False,
        b"[W 261127 02:31:33 inspector:98] Inspect method conf failed\n": False,
        b"[E 261127 02:31:34 web:1] HTTPServerRequest\n": True,
        b'{"time":"2026-11-27T08:28:57.161+00:00","level":"INFO","logger":"celery.apps.worker"}\n': False,
        b'{"time":"2026-11-27T08:28:58.161+00:00","level":"WARNING","logger":"batch_router.worker"}\n': True,
    }
    assert {line: attention.takes(line) for line in lines} == lines
    assert next(iter(attention.last_lines())).startswith(b" ----")


def test_workers_of_an_earlier_stack_are_no_sign_of_this_one(tmp_path: Path, valkey: str) -> None:
    """The server remembers them for some seconds, as it does those of other queues, which stay."""
    settings = Settings(home=tmp_path, redis_url=valkey, prefix="earlier")
    with closing(open_store(settings)) as store:
        store.announce("io@here", ["io", "gpu.other"], ttl=60)
        forget_listeners(settings, ["io", "poll"])
        assert (store.listeners("io"), store.listeners("gpu.other")) == ([], ["io@here"])


@contextmanager
def quiet_up(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`up` with one worker and a pipe for its output."""
    command = [sys.executable, "-m", "batch_router.cli", "up", "--simulate", "gpu"]
    up = subprocess.Popen(command, env=clean_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield up
    finally:
        end_process(up)


def submits_in_the_first_seconds(home: Path) -> None:
    """`submit` waits for the workers of an `up` that has just begun."""
    while not is_owned(home):
        time.sleep(0.05)
    command = [sys.executable, "-m", "batch_router.cli", "submit", "-", "--provider", "vllm", "--model", "tiny"]
    row = b'{"custom_id": "a", "prompt": "x"}'
    done = subprocess.run(command, env=clean_environment(home), input=row, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"waiting for a worker on the queue 'gpu'" in done.stderr
    # A client decides nothing.
    assert {mark.name.rpartition("-")[2] for mark in (home / "service-marks").iterdir()} == {"simulated"}


def wait_until_alone(home: Path) -> None:
    """Until no process of a home is left."""
    deadline = time.monotonic() + _END_WITHIN
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BATCH_ROUTER_REDIS_URL", "foo", "BATCH_ROUTER_REDIS_URL is not the URL of a Redis database"),
        ("BATCH_ROUTER_BROKER_URL", "foo", "BATCH_ROUTER_BROKER_URL is not the URL of a Redis database"),
        (
            "BATCH_ROUTER_OPENAI_BASE_URL",
            "http://me:canary@",
            "BATCH_ROUTER_OPENAI_BASE_URL is not the URL of a service",
        ),
        ("FLOWER_PORT", "flower", "FLOWER_PORT must be the number of a port"),
    ],
)
def test_what_is_malformed_is_one_sentence(
    variable: str, value: str, said: str, tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the variable and repeats no secret, before a process is started."""
    for name, given in {"BATCH_ROUTER_HOME": str(tmp_path), "BATCH_ROUTER_REDIS_URL": valkey, variable: value}.items():
        monkeypatch.setenv(name, given)
    with pytest.raises(ValidationError, match=f"^{said}") as error:
        cli.main(["up"], standalone_mode=False)
    assert "canary" not in str(error.value)


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's and the simulator's: with the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for name, given in {"BATCH_ROUTER_HOME": str(tmp_path), "BATCH_ROUTER_REDIS_URL": valkey}.items():
            monkeypatch.setenv(name, given)
        monkeypatch.setenv("FLOWER_PORT", port)
        with pytest.raises(ValidationError, match=f"^FLOWER_PORT is {port}, and another program listens there"):
            cli.main(["up", "flower"], standalone_mode=False)
        with pytest.raises(OSError, match="address already in use") as error:
            cli.main(["simulate", "--port", port], standalone_mode=False)
    assert describe(error.value).endswith("address already in use: choose another port; 0 takes any free one")
