"""Uploaded and made files: on disk, in pieces, never whole in memory."""

import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class StoredFile:
    """A file of the provider's."""

    id: str
    path: Path
    filename: str
    purpose: str
    created_at: int

    def describe(self) -> dict[str, Any]:
        """The file object of the API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.path.stat().st_size,
            "created_at": self.created_at,
            "expires_at": None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class FileStore:
    """All files of one provider, below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)
        self.files: dict[str, StoredFile] = {}

    def begin(self) -> tuple[str, Path]:
        """An id and a place for a file that is not there yet."""
        file_id = f"file-{next(self._numbers):06d}"
        return file_id, self._folder / file_id

    def add(self, file_id: str, path: Path, filename: str, purpose: str) -> StoredFile:
        """The file, now that it is whole."""
        stored = StoredFile(file_id, path, filename, purpose, int(time.time()))
        self.files[file_id] = stored
        return stored

    def delete(self, file_id: str) -> None:
        """Forget the file."""
        self.files.pop(file_id).path.unlink(missing_ok=True)
