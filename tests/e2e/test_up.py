"""`batch-router up` as an operator meets it: one per home, quiet, and nothing of it outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batch_router.cli.attention import Attention

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
    """SIGKILL of `up` alone ends its workers, their children, the simulator and the server."""
    with run_stack(tmp_path / "home", "", "cpu") as stack:
        (up,) = (pid for pid, command in processes_of(stack.home).items() if "batch_router.cli up" in command)
        os.kill(up, signal.SIGKILL)
        wait_until_alone(stack.home)


@pytest.mark.parametrize("by", ["SIGHUP", "a reader that is gone"])
def test_a_stack_ends_with_its_terminal(by: str, tmp_path: Path) -> None:
    """A closed terminal or pipe ends all that runs; until then `up` says only that it is ready, and what to type."""
    with quiet_up(tmp_path) as up:
        assert up.stdout
        assert up.stdout.readline().startswith(b"Ready after ")
        if by == "SIGHUP":
            up.send_signal(signal.SIGHUP)
        up.stdout.close()
        assert up.wait(_END_WITHIN) == 130
    wait_until_alone(tmp_path)


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
    }
    assert {line: attention.takes(line) for line in lines} == lines
    assert next(iter(attention.last_lines())).startswith(b" ----")


@contextmanager
def quiet_up(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`up` with one worker and a pipe for its output."""
    command = [sys.executable, "-m", "batch_router.cli", "up", "--simulate", "gpu"]
    up = subprocess.Popen(command, env=clean_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield up
    finally:
        end_process(up)


def wait_until_alone(home: Path) -> None:
    """Until no process of a home is left."""
    deadline = time.monotonic() + _END_WITHIN
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
