"""Workers that a test can stop between any two things they do, and a clock that only the test moves.

A worker is carried through by the test's own thread, until its plan says that it dies (nothing after that happens) or
is paused. A paused one has a thread of its own, and never runs at the same time as anybody else.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from batch_router.road.lease import Lease, LeaseLostError


class Fate(StrEnum):
    """What happens to a worker."""

    DIES = "dies"
    PAUSED = "is paused, as a process"
    STUCK = "is stuck, and its leases are renewed"
    CUT_OFF = "cannot reach the store this once"
    REPEATS = "hears nothing from the store, and asks again later"


class Plan(NamedTuple):
    """Attributes: at which of its next seams which fate meets a worker."""

    seam: int
    fate: Fate


class DiedError(BaseException):
    """The end of a worker's process."""


class Clock:
    """Stands in for the module `time`."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.now = 1_800_000_000.0
        self.sleep = sleep

    def time(self) -> float:
        return self.now

    monotonic = time


class Worker:
    """A process for one message.

    Attributes:
        about: the item that the message is about.
        troubles: what becomes of its calls to the provider, in their order.
        wakes_at: when it goes on by itself, if it does.
        renews: whether its leases are renewed meanwhile.
    """

    def __init__(
        self, about: str, work: Callable[[], None], plan: Plan | None = None, troubles: Iterable[Any] = ()
    ) -> None:
        self.about = about
        self.plan = plan
        self.troubles = deque(troubles)
        self.wakes_at: float | None = None
        self.renews = False
        self.dead = False
        self.over = False
        self.surprise: BaseException | None = None
        self._work = work
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run until the first pause, or the end."""
        if self.plan is not None and self.plan.fate in (Fate.PAUSED, Fate.STUCK, Fate.REPEATS):
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
            self._stopped.acquire()
        else:
            self._run()
        self._check()

    def go_on(self) -> None:
        """Run until the next pause, or the end."""
        self.wakes_at, self.renews = None, False
        self._go.release()
        self._stopped.acquire()
        self._check()

    def pause(self) -> None:
        """Called by whatever the worker is doing: give way until `go_on`."""
        self._stopped.release()
        self._go.acquire()
        if self.dead:
            raise DiedError

    @property
    def can_pause(self) -> bool:
        return self._thread is not None

    def _run(self) -> None:
        try:
            self._work()
        except DiedError:
            pass
        except BaseException as error:  # for the test to see
            self.surprise = error
        self.over = True
        self._stopped.release()

    def _check(self) -> None:
        if self.over and self._thread is not None:
            self._thread.join()
        if self.surprise is not None:
            raise self.surprise


class Fleet:
    """All workers, of whom one runs at a time.

    Attributes:
        paused: who waits to go on.
        current: who runs; None: the test itself.
        leases: of the workers that are in a step.
        on_time: called whenever the clock has moved.
    """

    def __init__(self) -> None:
        self.clock = Clock(self._sleep)
        self.paused: list[Worker] = []
        self.current: Worker | None = None
        self.leases: dict[Worker | None, Lease] = {}
        self.on_time: Callable[[], None] = lambda: None

    def run(self, about: str, work: Callable[[], None], plan: Plan | None = None, troubles: Iterable[Any] = ()) -> None:
        """Have a worker do something, as far as its plan allows."""
        worker = Worker(about, work, plan, troubles)
        self._resume(worker, worker.start)

    def wake(self, worker: Worker, plan: Plan | None = None) -> None:
        """Let a paused worker go on."""
        self.paused.remove(worker)
        worker.plan = plan
        self._resume(worker, worker.go_on)

    def kill(self, worker: Worker) -> None:
        """End a paused worker."""
        worker.dead = True
        self.wake(worker)

    def move(self, seconds: float, renew_every: float) -> None:
        """Move the clock; stuck workers renew, sleeping ones wake, what was on its way arrives."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now = min(until, self.clock.now + renew_every)
            for worker in list(self.paused):
                if worker.renews and worker in self.leases:
                    try:
                        self.leases[worker].renew()
                    except LeaseLostError:
                        del self.leases[worker]
            self.on_time()
            for worker in list(self.paused):
                if worker.wakes_at is not None and worker.wakes_at <= self.clock.now:
                    self.wake(worker)

    def seam(self, *, pausable: bool = True, in_store: bool = False) -> Fate | None:
        """A place between two things that a worker does; the fate that met it here, if it lives on."""
        worker = self.current
        if worker is None:
            return None
        if worker.dead:
            raise DiedError
        if worker.plan is None:
            return None
        if worker.plan.seam > 0:
            worker.plan = worker.plan._replace(seam=worker.plan.seam - 1)
            return None
        fate, worker.plan = worker.plan.fate, None
        if fate is Fate.DIES:
            worker.dead = True
            raise DiedError
        if fate is not Fate.CUT_OFF and pausable and worker.can_pause:
            worker.renews = fate is Fate.STUCK and not in_store  # a worker that is stuck in a renewal renews nothing
            worker.pause()
        return fate

    def _sleep(self, seconds: float) -> None:
        worker = self.current
        assert worker is not None
        assert worker.can_pause, "only a worker that was paused has a reason to wait for others"
        worker.wakes_at = self.clock.now + seconds
        worker.pause()

    def _resume(self, worker: Worker, how: Callable[[], None]) -> None:
        before, self.current = self.current, worker
        try:
            how()
        finally:
            self.current = before
        if not worker.over:
            self.paused.append(worker)
