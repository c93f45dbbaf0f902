"""Answers as they come in: appended to a file, which is synced in groups."""

import os
import time
from pathlib import Path
from types import TracebackType

_SYNC_EVERY = 1.0


class Journal:
    """A part that grows. What was added survives the process at once, and the machine from the next `sync` on.

    A crash tears the last line at most.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab")
        self._waiting = False
        self._synced = time.monotonic()

    def add(self, line: bytes) -> None:
        """Append a line."""
        self._stream.write(line)
        self._stream.flush()
        self._waiting = True

    def sync(self, *, now: bool = False) -> None:
        """Put on the disk what was added, if that was not done in the last second; to be called again and again."""
        if self._waiting and (now or time.monotonic() - self._synced > _SYNC_EVERY):
            os.fsync(self._stream.fileno())
            self._waiting = False
            self._synced = time.monotonic()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sync(now=True)
        finally:
            self._stream.close()
