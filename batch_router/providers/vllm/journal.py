"""Answers as they come in: appended to a file, which is synced in groups."""

import os
import time
from pathlib import Path
from types import TracebackType

_GROUP = 64
_SYNC_EVERY = 1.0


class Journal:
    """A part that grows. What was added is on the disk a second later; a crash tears the last line at most."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab")
        self._waiting = 0
        self._synced = time.monotonic()

    def add(self, line: bytes) -> None:
        """Append a line."""
        self._stream.write(line)
        self._waiting += 1
        if self._waiting >= _GROUP or time.monotonic() - self._synced > _SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Put on the disk what was added."""
        if self._waiting:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        self._waiting = 0
        self._synced = time.monotonic()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        self._stream.close()
