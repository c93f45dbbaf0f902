"""Worker processes that are started again when they end, as any supervisor would."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from .nursery import Nursery, is_alive, send


class Born(NamedTuple):
    """How a worker is started.

    Attributes:
        options: of `celery worker`.
        clock: how many seconds its clock is ahead.
    """

    options: str
    clock: float = 0


_ALL = "-Q io,poll,cpu,gpu -P threads -c 4"
_HOURS = 3 * 3600.0
#: By kind: threads for all queues, also on a server with a replica; processes for what needs a CPU; one of two workers
#: with a clock that is wrong.
FLEETS: dict[str, Sequence[Born]] = {
    "threads": (Born(_ALL), Born(_ALL)),
    "replica": (Born(_ALL), Born(_ALL)),
    "prefork": (Born("-Q io,poll -P threads -c 4"), Born("-Q cpu,gpu -P prefork -c 2")),
    "ahead": (Born(_ALL), Born(_ALL, _HOURS)),
    "behind": (Born(_ALL), Born(_ALL, -_HOURS)),
}
_LOOK_EVERY = 0.1


class Fleet:
    """Workers, each the leader of a process group, and the thread that starts them again.

    Args:
        nursery: where they are born.
        app: the module of the Celery app.
        workers: how each is started.
        log: takes what all of them say.
    """

    def __init__(self, nursery: Nursery, app: str, workers: Sequence[Born], log: Path) -> None:
        self._nursery = nursery
        self._app = app
        self._workers = workers
        self._log = log
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._groups = [self._start(number) for number in range(len(workers))]
        self._thread = threading.Thread(target=self._supervise, name="fleet")
        self._thread.start()

    def __len__(self) -> int:
        return len(self._groups)

    def _start(self, number: int) -> int:
        return self._begin(f"drill{number}@%h", *self._workers[number])

    def _begin(self, name: str, options: str, clock: float) -> int:
        arguments = ["-A", self._app, "worker", "-n", name, "-l", "INFO"]
        arguments += ["--without-mingle", "--without-gossip", *options.split()]
        return self._nursery.start("celery", arguments, self._log, clock)

    @contextmanager
    def joined_by(self, queue: str) -> Iterator[None]:
        """One more worker, which has a queue of its own, for as long as the block runs."""
        group = self._begin("joined@%h", f"-Q {queue} -P threads -c 4", 0)
        try:
            yield
        finally:
            send(group, signal.SIGKILL)

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

    def replace(self) -> None:
        """Ask each worker to end, as a deploy does; another one takes its place."""
        with self._lock:
            for group in self._groups:
                with suppress(ProcessLookupError):
                    os.kill(group, signal.SIGTERM)

    def stop(self) -> None:
        """End all, at once."""
        self._ended.set()
        self._thread.join()
        for group in self._groups:
            send(group, signal.SIGKILL)
        while any(map(is_alive, self._groups)):
            time.sleep(_LOOK_EVERY)
