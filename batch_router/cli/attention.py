"""What `up` shows of what a process writes: everything, or only what needs attention."""

import re
from collections import deque
from collections.abc import Iterator

# How a record of Celery's log begins (`[2026-11-27 02:31:31,123: WARNING/MainProcess] ...`), one of Flower's, whose
# warnings are only that no worker has answered yet (`[W 261127 02:31:33 inspector:98] ...`), and one in JSON.
_RECORD = re.compile(
    rb"\[(?:[-\d]+ [:,\d]+: (?P<celery>[A-Z]+)/\S+\]|(?P<flower>[DIWEC]) \d+ [:\d]+ \S+\]) ?"
    rb'|\{"time":"[-+:.T\d]+","level":"(?P<json>[A-Z]+)",'
)
_NEEDED = frozenset({b"WARNING", b"ERROR", b"CRITICAL", b"E", b"C"})
# Lines that are kept for the case that the process ends.
_KEPT = 20


class Attention:
    """Decides line by line, for one process."""

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._is_needed = False
        self._last_shown = b""
        self._kept: deque[bytes] = deque(maxlen=_KEPT)

    def takes(self, line: bytes) -> bool:
        """Whether the line is shown: all that is logged as a warning or an error, once where it repeats itself."""
        if self._everything:
            return True
        if record := _RECORD.match(line):
            text = line[record.end() :]
            self._is_needed = record[record.lastgroup or 0] in _NEEDED and text != self._last_shown
            self._last_shown = text if self._is_needed else self._last_shown
        if not self._is_needed:
            self._kept.append(line)
        return self._is_needed

    def last_lines(self) -> Iterator[bytes]:
        """The last lines that were not shown: they say why the process has ended."""
        while self._kept:
            yield self._kept.popleft()
