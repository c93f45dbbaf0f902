"""The processes of the local stack: started, watched, started again when they end, and ended together."""

import os
import queue
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from .. import guard
from .attention import Attention
from .exit_codes import ExitCode
from .guarded import Guarded
from .shown import Shown

# Seconds until a process that ended is started again: doubled each time, and the first again after a long run.
_FIRST_PAUSE, _LONGEST_PAUSE, _LONG_RUN = 1.0, 30.0, 60.0
_LOOK_EVERY = 0.1
# For the last lines of a process that has ended.
_LAST_LINES_WITHIN = 1.0
# The signals that end the stack, and the exit code then. SIGHUP: the terminal was closed.
_ENDING: dict[int, int] = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGHUP: ExitCode.INTERRUPTED,
    signal.SIGTERM: 128 + signal.SIGTERM,
}


class _Line(NamedTuple):
    """What a process wrote."""

    name: str
    data: bytes


class _End(NamedTuple):
    """A process has ended."""

    name: str
    code: int


class _Course(msgspec.Struct):
    """How a process fares: when it started, when it starts again, when it is killed (monotonic), and the next pause."""

    command: str
    attention: Attention
    running: Guarded | None = None
    since: float = 0
    again_at: float | None = 0
    kill_at: float | None = None
    pause: float = _FIRST_PAUSE


class Processes:
    """The processes of a Procfile.

    Args:
        commands: what to run, for a shell, by name.
        environment: of all of them.
        last: names of those that end after all others, because these need them.
        verbose: show all that they write; else only what needs attention.
    """

    def __init__(
        self, commands: Mapping[str, str], environment: Mapping[str, str], *, last: Collection[str], verbose: bool
    ) -> None:
        self._environment = environment
        self._courses = {name: _Course(command, Attention(everything=verbose)) for name, command in commands.items()}
        self._last = last
        self._verbose = verbose
        self._shown = Shown(commands)
        self._events: queue.SimpleQueue[_Line | _End | str] = queue.SimpleQueue()
        self._code: int | None = None
        self._is_hurried = False

    def tell(self, text: str) -> None:
        """Show a text of the stack's own; any thread may, and a signal's handler."""
        self._events.put(text)

    def run(self) -> int:
        """Run all processes until this one is asked to end, or what it shows has no reader, and all have ended.

        Returns:
            The exit code.
        """
        with _handling(self._ask_to_end):
            while self._code is None:
                self._launch_due()
                self._take_event()
                if not self._shown.has_reader():
                    self._code = ExitCode.INTERRUPTED
            while any(course.running for course in self._courses.values()):
                self._end_all()
                self._take_event()
        return self._code

    def _ask_to_end(self, number: int, _frame: object) -> None:
        self._is_hurried = self._code is not None
        self._code = _ENDING[number]
        self.tell("Ending (once more: at once)")

    def _launch_due(self) -> None:
        for name, course in self._courses.items():
            if course.again_at is not None and time.monotonic() >= course.again_at:
                course.since, course.again_at = time.monotonic(), None
                course.running = Guarded(["/bin/sh", "-c", course.command], self._environment)
                threading.Thread(target=self._watch, args=(name, course.running), daemon=True).start()
                if self._verbose:
                    self._shown.tell(f"{name} started (pid={course.running.pid})")

    def _watch(self, name: str, process: Guarded) -> None:
        reader = threading.Thread(target=self._read, args=(name, process), daemon=True)
        reader.start()
        code = process.wait()
        reader.join(_LAST_LINES_WITHIN)
        self._events.put(_End(name, code))

    def _read(self, name: str, process: Guarded) -> None:
        for line in process.lines():
            self._events.put(_Line(name, line))

    def _end_all(self) -> None:
        """Ask all processes to end, and end those that do not."""
        running = {name: course for name, course in self._courses.items() if course.running}
        for name in running.keys() - self._last or running.keys():
            self._end(running[name])

    def _end(self, course: _Course) -> None:
        assert course.running
        now = time.monotonic()
        if self._is_hurried or (course.kill_at is not None and now > course.kill_at):
            course.running.signal(signal.SIGKILL)
        elif course.kill_at is None:
            course.kill_at = now + guard.END_WITHIN
            course.running.signal(signal.SIGINT)

    def _take_event(self) -> None:
        """Handle what a process wrote or became, if there is something."""
        try:
            event = self._events.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            return
        if isinstance(event, str):
            self._shown.tell(event)
        elif isinstance(event, _End):
            self._note_end(event.name, event.code)
        elif self._courses[event.name].attention.takes(event.data):
            self._shown.line(event.name, event.data)

    def _note_end(self, name: str, code: int) -> None:
        course, now = self._courses[name], time.monotonic()
        course.running = None
        if self._code is not None:
            return
        for line in course.attention.last_lines():
            self._shown.line(name, line)
        if code == os.EX_CONFIG:  # a worker that started again would end in the same way
            self._shown.tell(f"{name} cannot work with these settings, as it says above (rc={code}): the stack ends")
            self._code = ExitCode.USAGE
            return
        if now - course.since > _LONG_RUN:
            course.pause = _FIRST_PAUSE
        self._shown.tell(f"{name} ended (rc={code}); it starts again in {course.pause:.0f} s")
        course.again_at, course.pause = now + course.pause, min(2 * course.pause, _LONGEST_PAUSE)


@contextmanager
def _handling(ask_to_end: "signal._HANDLER") -> Iterator[None]:
    """The signals that end the stack go to this while the block runs; an ignored SIGHUP (nohup) stays ignored."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    taken = {number: it for number, it in before.items() if number != signal.SIGHUP or it != signal.SIG_IGN}
    for number in taken:
        signal.signal(number, ask_to_end)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
