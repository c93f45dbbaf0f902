"""Worker processes that are started again when they die, as any supervisor would."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

#: Worker options by kind of fleet: threads for all queues; or processes for what needs a CPU.
FLEETS: dict[str, Sequence[str]] = {
    "threads": ("-Q io,poll,cpu,gpu -P threads -c 4", "-Q io,poll,cpu,gpu -P threads -c 4"),
    "prefork": ("-Q io,poll -P threads -c 4", "-Q cpu,gpu -P prefork -c 2"),
}
_LOOK_EVERY = 0.1


class Fleet:
    """Workers, each the leader of a process group, and the thread that starts them again.

    Args:
        app: the module of the Celery app.
        options: of each worker.
        environment: of all of them.
        log: takes what all of them say.
    """

    def __init__(self, app: str, options: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._app = app
        self._options = options
        self._environment = environment
        self._log = log
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._workers = [self._start(number) for number in range(len(options))]
        self._thread = threading.Thread(target=self._supervise, name="fleet")
        self._thread.start()
        self.deaths = 0

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", self._app, "worker", "-n", f"drill{number}@%h", "-l", "INFO"]
        command += ["--without-mingle", "--without-gossip", *self._options[number].split()]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, start_new_session=True)

    def _supervise(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            with self._lock:
                for number, worker in enumerate(self._workers):
                    if worker.poll() is not None:
                        self.deaths += 1
                        _send(worker.pid, signal.SIGKILL)  # what is left of its pool
                        self._workers[number] = self._start(number)

    def kill(self, number: int) -> int:
        """Kill a worker and its pool at once; returns its process group."""
        with self._lock:
            group = self._workers[number].pid
            _send(group, signal.SIGKILL)
            return group

    def __len__(self) -> int:
        return len(self._workers)

    def stop(self) -> None:
        """End all, at once."""
        self._ended.set()
        self._thread.join()
        for worker in self._workers:
            _send(worker.pid, signal.SIGKILL)
            worker.wait()


def _send(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
