"""A provider's files: on disk, never whole in memory."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .keys import Mine
from .numbers import next_number


@dataclass
class StoredFile:
    """A file that was uploaded or made."""

    id: str
    path: Path
    filename: str
    purpose: str
    created_at: int


class FileStore:
    """All files of one provider, below a folder; `now` is its clock."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now
        self._folder.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(next_number(folder))
        self.files = Mine(StoredFile, folder / "files.json")

    def begin(self) -> tuple[str, Path]:
        """A new id, and the path to write the file to."""
        file_id = f"file-{next(self._numbers):06d}"
        return file_id, self._folder / file_id

    def add(self, file_id: str, path: Path, filename: str, purpose: str) -> StoredFile:
        """Register a file that is completely written."""
        stored = StoredFile(file_id, path, filename, purpose, int(self._now()))
        self.files[file_id] = stored
        return stored

    def delete(self, file_id: str) -> None:
        """Remove the file."""
        self.files.pop(file_id).path.unlink(missing_ok=True)
