"""The rows of a job in a file of a test."""

from pathlib import Path
from typing import BinaryIO


class FileRows:
    """See `batch_router.providers.Rows`."""

    def __init__(self, path: Path, name: str = "rows") -> None:
        self._path = path
        self.name = name

    @property
    def size(self) -> int:
        return self._path.stat().st_size

    def open(self) -> BinaryIO:
        return self._path.open("rb")
