"""A local stack as a user starts it: `batch-router up` with simulated providers, in a home of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from batch_router.client import BatchClient
from batch_router.connect import open_context
from batch_router.settings import Settings

from .commands import Commands

KEY = "sk-canary-key-4711"


class Stack:
    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.environment = environment
        self.log = home / "up.log"

    @cached_property
    def client(self) -> BatchClient:
        return BatchClient(open_context(Settings(home=self.home)))

    @property
    def simulator_url(self) -> str:
        """Where the simulated providers are, as `up` said."""
        found = re.search(r"Simulated providers: (\S+)", self.log.read_text())
        assert found
        return found[1]

    def cli(self, *arguments: object, timeout: float = 60, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run `batch-router` as a user would, in the stack's home, with this on its standard input."""
        return self._commands.run(list(map(str, arguments)), self.environment, self.home, given, timeout)

    @cached_property
    def _commands(self) -> Commands:
        return Commands()

    def python(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=timeout
        )

    def close(self) -> None:
        """End what it has opened; the stack itself goes on."""
        for name in ("client", "_commands"):
            if name in vars(self):
                getattr(self, name).close()


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """This environment without anybody's settings and keys."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BATCH_ROUTER_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "FLOWER_", "CELERY_"))
    }
    return kept | {"BATCH_ROUTER_HOME": str(home), "COLUMNS": "200"} | more


@contextmanager
def run_stack(home: Path, scenario: str | None, *processes: str, **settings: str) -> Iterator[Stack]:
    """Start `up`, wait until its workers listen, and end it, however the block ends.

    Without a scenario the settings say where the providers are.
    """
    with run_stack_in(home, home, [sys.executable, "-m", "batch_router.cli"], scenario, processes, settings) as stack:
        yield stack


@contextmanager
def run_stack_in(
    cwd: Path, home: Path, program: list[str], scenario: str | None, processes: Sequence[str], settings: dict[str, str]
) -> Iterator[Stack]:
    """The same in another folder, by another way to start `batch-router`."""
    home.mkdir(parents=True, exist_ok=True)
    stack = Stack(home, clean_environment(home, OPENAI_API_KEY=KEY, **settings))
    simulated = [] if scenario is None else ["--scenario", str(home / "scenario.toml")]
    if scenario is not None:
        stack.environment["BATCH_ROUTER_SIMULATED"] = "true"
    (home / "scenario.toml").write_text(scenario or "")
    command = [*program, "up", "--verbose", *simulated, *processes]
    with stack.log.open("wb") as log:
        up = subprocess.Popen(command, env=stack.environment, cwd=cwd, stdout=log, stderr=log)
    try:
        _wait_until_ready(stack, up)
        yield stack
    finally:
        end_process(up)
        stack.close()


def _wait_until_ready(stack: Stack, up: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and up.poll() is None:
        if "Ready after" in stack.log.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"the stack did not start:\n{stack.log.read_text()[-3000:]}")


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end; kill it if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)  # `up` gives its own ten
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processes_of(home: Path) -> dict[int, str]:
    """The processes whose environment names this home (Linux): pid to command."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"BATCH_ROUTER_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return found
