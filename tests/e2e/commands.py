"""Commands of `batch-router`, each in a process forked from one that has imported it: the import takes half a second.

`python -m tests.e2e.commands` takes a line of JSON for each command (see `_run`), and answers with its exit code.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[2]
STREAMS = ("given", "out", "err")


class Commands:
    """The tests' side of it: one command after the other."""

    def __init__(self) -> None:
        # Its environment is none of a home's, of which it is no process.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCH_ROUTER_")}
        command = [sys.executable, "-m", "tests.e2e.commands"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, given: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """What `python -m batch_router.cli` with these arguments does; SIGALRM ends it after the time-out."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in STREAMS]
            paths[0].write_text(given)
            asked: dict[str, Any] = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}
            asked |= {"streams": list(map(str, paths)), "timeout": int(timeout)}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(list(arguments), code, paths[1].read_text(), paths[2].read_text())

    def close(self) -> None:
        self._process.communicate()


def _run(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: str, streams: Sequence[str], timeout: int
) -> NoReturn:
    code: object = 1
    try:
        for number, path in enumerate(streams):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - without what the other one has read ahead
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        signal.alarm(timeout)
        sys.argv = ["batch-router", *arguments]
        runpy.run_module("batch_router.cli", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    import_module("batch_router.cli")
    assert threading.active_count() == 1, "a thread would not come through the fork"
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
