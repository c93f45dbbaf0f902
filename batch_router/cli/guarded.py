"""A program of the stack: it runs under a guard, in a group of its own, and nothing of it outlives `up`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .. import guard

#: Where the processes of the stack run. Celery imports from the folder where it is started, Flower executes a
#: `flowerconfig.py` in it, and a folder that came with a clone or an archive is not to be executed.
NEUTRAL = "/"
_GUARD = Path(guard.__file__)


class Guarded:
    """A program that was started.

    Args:
        command: the program and its arguments.
        environment: of it.
        log: takes what the program and its own processes write, on both streams; without one it is for `lines`.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, log: BinaryIO | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_GUARD), *command],
            stdin=subprocess.PIPE,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for `up` alone
            cwd=NEUTRAL,
            env=environment,
        )

    def lines(self) -> Iterator[bytes]:
        """What it writes, to the end."""
        yield from self._process.stdout or ()

    @property
    def pid(self) -> int:
        """Of the guard; also the number of the group."""
        return self._process.pid

    def wait(self) -> int:
        """Wait for the end, also of what the program has left behind; the exit code."""
        # The number is the group's until the guard is reaped.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.signal(signal.SIGKILL)
        return self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group: SIGINT asks it to end."""
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
            os.killpg(self.pid, number)

    def end(self, within: float) -> None:
        """Ask it to end, and end it if it does not."""
        self.signal(signal.SIGINT)
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()
