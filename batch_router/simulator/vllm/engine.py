"""The engine: a process of its own, which does nothing but can be left behind or killed."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from ..scenario import Scenario

CRASH = "EngineDeadError: EngineCore encountered an issue."
_PROGRAM = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL); signal.pause()"


@contextmanager
def run_engine(name: str) -> Iterator[int]:
    """The process id of an engine that runs while the block does."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, "EngineCore", name]) as engine:
        try:
            yield engine.pid
        finally:
            engine.terminate()


def note_received(scenario: Scenario, content: bytes) -> None:
    """Append what came in to the file that the scenario names."""
    if scenario.received:
        with Path(scenario.received).open("ab") as received:
            received.write(content.rstrip(b"\n") + b"\n")


def load_model(scenario: Scenario) -> None:
    """Take the time of loading a model; fail if the scenario fails jobs."""
    time.sleep(scenario.latency.validating)
    if scenario.fail_job:
        give_up(f"RuntimeError: {scenario.fail_job}")


def is_crash(scenario: Scenario, answered: int, prompt: str) -> bool:
    """Whether the engine crashes on the next row, after that many answered ones."""
    return answered == scenario.crash_after or bool(scenario.poison and re.search(scenario.poison, prompt))


def give_up(message: str) -> NoReturn:
    """End with an error."""
    sys.stderr.write(f"{message}\n")
    sys.exit(1)
