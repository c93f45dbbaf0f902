"""The processes of the local stack: started, watched, started again when they end, and ended together."""

import multiprocessing
import queue
import signal
import time
from typing import Any

import msgspec
from honcho.manager import SIGNALS, Manager

from .terminal import SafePrinter

# Seconds until a process that ended is started again: doubled each time, and the first again after a long run.
_FIRST_PAUSE, _LONGEST_PAUSE, _LONG_RUN = 1.0, 30.0, 60.0
# From the end of the first process to SIGKILL for the others, when all end.
_END_WITHIN = 5.0


class _Course(msgspec.Struct):
    """How a process fares: when it started, when it is to start again (both monotonic), and the next pause."""

    since: float = 0
    again_at: float | None = None
    pause: float = _FIRST_PAUSE


class Processes(Manager):  # type: ignore[misc] # honcho has no types
    """Honcho's processes. Honcho ends all of them when one ends; here, that one is started again."""

    def __init__(self) -> None:
        super().__init__(SafePrinter())
        self._courses: dict[str, _Course] = {}
        self._is_asked = False
        self._kill_at: float | None = None

    def loop(self) -> None:
        """Run all processes until this one is asked to end (SIGTERM, SIGINT), and all of them have."""
        for number in SIGNALS:
            signal.signal(number, self._end)
        for name in self._processes:
            self._launch(name)
        while not (self._terminating and self._all_stopped()):
            self._take_event()
            if not self._is_asked:
                self._launch_due()
            elif self._all_started():  # all have a pid
                self.terminate()
            if self._kill_at is not None and time.monotonic() > self._kill_at:
                self.kill()
        while self._take_event():
            pass

    def _end(self, number: int, _frame: object) -> None:
        self._system_print(f"{SIGNALS[number]['name']} received\n")
        self.returncode = SIGNALS[number]["rc"]
        self._is_asked = True

    def _launch(self, name: str) -> None:
        process = self._processes[name]
        process.pop("returncode", None)
        process["pid"] = None
        course = self._courses.setdefault(name, _Course())
        course.since, course.again_at = time.monotonic(), None
        process["process"] = multiprocessing.Process(name=name, target=process["obj"].run, args=(self.events, True))
        process["process"].start()

    def _launch_due(self) -> None:
        for name, course in self._courses.items():
            if course.again_at is not None and time.monotonic() >= course.again_at:
                self._launch(name)

    def _take_event(self) -> bool:
        """Handle what a process wrote or became; False if there was nothing."""
        try:
            event = self.events.get(timeout=0.1)
        except queue.Empty:
            return False
        if event.type == "line":
            self._printer.write(event)
        elif event.type == "start":
            self._processes[event.name]["pid"] = event.data["pid"]
            self._system_print(f"{event.name} started (pid={event.data['pid']})\n")
        else:
            self._note_end(event.name, event.data["returncode"])
        return True

    def _note_end(self, name: str, code: Any) -> None:
        self._processes[name]["returncode"] = code
        if self._is_asked:
            self._system_print(f"{name} stopped (rc={code})\n")
            self._kill_at = self._kill_at or time.monotonic() + _END_WITHIN
            return
        course, now = self._courses[name], time.monotonic()
        if now - course.since > _LONG_RUN:
            course.pause = _FIRST_PAUSE
        self._system_print(f"{name} ended (rc={code}); it starts again in {course.pause:.0f} s\n")
        course.again_at, course.pause = now + course.pause, min(2 * course.pause, _LONGEST_PAUSE)
