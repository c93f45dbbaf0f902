"""Worker processes that are started again when they die, as any supervisor would."""

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .nursery import Nursery, is_alive, send

#: Worker options by kind of fleet: threads for all queues; or processes for what needs a CPU.
FLEETS: dict[str, Sequence[str]] = {
    "threads": ("-Q io,poll,cpu,gpu -P threads -c 4", "-Q io,poll,cpu,gpu -P threads -c 4"),
    "prefork": ("-Q io,poll -P threads -c 4", "-Q cpu,gpu -P prefork -c 2"),
}
_LOOK_EVERY = 0.1


class Fleet:
    """Workers, each the leader of a process group, and the thread that starts them again.

    Args:
        nursery: where they are born.
        app: the module of the Celery app.
        options: of each worker.
        log: takes what all of them say.
    """

    def __init__(self, nursery: Nursery, app: str, options: Sequence[str], log: Path) -> None:
        self._nursery = nursery
        self._app = app
        self._options = options
        self._log = log
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._groups = [self._start(number) for number in range(len(options))]
        self._thread = threading.Thread(target=self._supervise, name="fleet")
        self._thread.start()

    def __len__(self) -> int:
        return len(self._groups)

    def _start(self, number: int) -> int:
        arguments = ["-A", self._app, "worker", "-n", f"drill{number}@%h", "-l", "INFO"]
        arguments += ["--without-mingle", "--without-gossip", *self._options[number].split()]
        return self._nursery.start("celery", arguments, self._log)

    def _supervise(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            with self._lock:
                for number, group in enumerate(self._groups):
                    if not is_alive(group):
                        send(group, signal.SIGKILL)  # what is left of its pool
                        self._groups[number] = self._start(number)

    def kill(self, number: int) -> int:
        """Kill a worker and its pool at once; returns its process group."""
        with self._lock:
            group = self._groups[number]
            send(group, signal.SIGKILL)
            return group

    def stop(self) -> None:
        """End all, at once."""
        self._ended.set()
        self._thread.join()
        for group in self._groups:
            send(group, signal.SIGKILL)
        while any(map(is_alive, self._groups)):
            time.sleep(_LOOK_EVERY)
