"""Where workers are born: a process that has imported the SDKs, and forks another whenever it is asked to.

Importing takes a worker five seconds of CPU, and drills kill hundreds of them. What is born here runs as `python -m
MODULE` would, in a process group of its own, if asked with a clock that is wrong. `python -m tests.drills.nursery`
takes lines of JSON, `{"module", "arguments", "log", "clock"}`, and answers each with the number of the group. When
no process is left to ask, all are killed.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import time_machine

from batch_router.providers import find_provider, provider_names


class Nursery:
    """The runner's side of it."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.drills.nursery"]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._lock = threading.Lock()

    def start(self, module: str, arguments: Sequence[str], log: Path, clock: float = 0) -> int:
        """Run a module, its clock some seconds ahead; returns its process group."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            asked = {"module": module, "arguments": list(arguments), "log": str(log), "clock": clock}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it, and all that were born there."""
        self._process.communicate()


def is_alive(group: int) -> bool:
    """Whether the first of a process group is there; the nursery leaves no zombies."""
    with suppress(ProcessLookupError):
        os.kill(group, 0)
        return True
    return False


def send(group: int, number: signal.Signals) -> None:
    """A signal to a whole group, if there is still one."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _import_all() -> None:
    """What workers need and what does not look at the environment while it is imported."""
    for name in ("celery.apps.worker", "celery.bin.celery", "celery.concurrency.prefork", "celery.concurrency.thread"):
        import_module(name)
    for name in ("kombu.transport.redis", "batch_router.road.advance"):
        import_module(name)
    for provider in provider_names():
        find_provider(provider).preload()


def _run(module: str, arguments: Sequence[str], log: str, clock: float) -> NoReturn:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(old, new)
        if clock:
            time_machine.travel(time.time() + clock).start()  # and it goes on from there
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


def main() -> None:
    _import_all()
    assert threading.active_count() == 1, "a thread would not come through the fork"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    born = []
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        born.append(child)
        print(child, flush=True)
    for group in born:
        send(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
