"""Payloads: a local folder that all workers of a fleet can reach. An object is there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .exceptions import FileOperationError

_BUFFER = 1 << 18
_TRIES = 20


class LocalStorage:
    """Objects by name, below one folder.

    Names are made by us (provider, batch id, shard number, fence), never of a user's `custom_id`.

    Args:
        root: made when the first object is written; objects are 0600, folders 0700: they hold prompts.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """A stream whose content becomes the object when the block ends; if it raises, nothing is left."""
        path = self.path(name)
        with _translated(name):
            handle, temporary = _make_temporary(path, self.root)
        try:
            with open(handle, "wb", buffering=_BUFFER) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            with _translated(name):
                os.replace(temporary, path)
                _sync_folder(path.parent)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(temporary)
            if isinstance(error, OSError):
                raise _failed(name, error) from error
            raise

    def open(self, name: str) -> BinaryIO:
        """The object, for reading."""
        with _translated(name):
            return open(self.path(name), "rb", buffering=_BUFFER)

    def path(self, name: str) -> Path:
        """Where the object lies."""
        return self.root / name

    def delete(self, name: str) -> None:
        """Remove the object, if it is there, and its folder, if that is empty then."""
        path = self.path(name)
        with _translated(name):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            path.parent.rmdir()

    def delete_folder(self, name: str) -> None:
        """Remove a folder with all that is in it, if it is there."""
        with _translated(name), suppress(FileNotFoundError):
            shutil.rmtree(self.path(name))


def _make_temporary(path: Path, root: Path) -> tuple[int, str]:
    for _ in range(_TRIES):
        _make_folders(path.parent, root)
        with suppress(FileNotFoundError):  # somebody's `delete` found the folder empty in between
            return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    raise FileNotFoundError(f"{path.parent} is removed as often as it is made")


def _make_folders(folder: Path, root: Path) -> None:
    # mkdir(parents=True) gives the mode to the last folder only.
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for parent in reversed(folder.relative_to(root).parents[:-1]):
        (root / parent).mkdir(exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)


def _sync_folder(folder: Path) -> None:
    # Without this, a power cut may forget the rename, though not the bytes.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(name, error) from error


def _failed(name: str, error: OSError) -> FileOperationError:
    return FileOperationError(f"{name}: {error.strerror or type(error).__name__}")
