"""Answers, appended to a file as they arrive, and synced in groups."""

import os
import time
from pathlib import Path
from types import TracebackType

from ....security.files import open_regular

_SYNC_EVERY = 1.0


class Journal:
    """A part of the answers that grows.

    What was added survives a crash of this process at once, and a crash of the machine after the next `sync`; a crash
    tears the last line at most.
    """

    def __init__(self, path: Path) -> None:
        self._stream = open(path, "ab", opener=open_regular)  # noqa: SIM115 - closed by `__exit__`
        self._unsynced = False
        self._synced = time.monotonic()

    def add(self, line: bytes) -> None:
        """Append a line."""
        self._stream.write(line)
        self._stream.flush()
        self._unsynced = True

    def sync(self, *, now: bool = False) -> None:
        """Sync what was added to the disk, at most once a second; the caller calls this often."""
        if self._unsynced and (now or time.monotonic() - self._synced > _SYNC_EVERY):
            os.fsync(self._stream.fileno())
            self._unsynced = False
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
