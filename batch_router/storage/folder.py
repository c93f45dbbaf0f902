"""Payloads in a folder that all workers of a fleet can reach."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from ..exceptions import FileOperationError
from .contract import ReadRange, StoredObject

if TYPE_CHECKING:
    from typing_extensions import Buffer

_BUFFER = 1 << 18
_TRIES = 20
_TEMPORARY = "."  # begins the names of files that are being written


class FolderStorage:
    """See `Storage`: each object is a file.

    Args:
        root: made when the first object is written; objects are 0600, folders 0700: they hold prompts.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.address = str(self._root)

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        path = self._path(name)
        with _translated(name):
            handle, temporary = _make_temporary(path, self._root)
        try:
            with io.BufferedWriter(_File(handle, "wb", name), _BUFFER) as stream:
                yield cast(BinaryIO, stream)
                stream.flush()
                with _translated(name):
                    os.fsync(stream.fileno())
            with _translated(name):
                os.replace(temporary, path)
                _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def open(self, name: str) -> BinaryIO:
        with _translated(name):
            return cast(BinaryIO, io.BufferedReader(_File(self._path(name), "rb", name), _BUFFER))

    @contextmanager
    def ranges(self, name: str) -> Iterator[ReadRange]:
        with _translated(name):
            handle = os.open(self._path(name), os.O_RDONLY)

        def read(offset: int, length: int) -> bytes:
            try:
                return os.pread(handle, length, offset)
            except OSError as error:
                raise _failed(name, error) from error

        try:
            yield read
        finally:
            os.close(handle)

    def size(self, name: str) -> int:
        with _translated(name):
            return self._path(name).stat().st_size

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for folder, _, files in os.walk(self._path(prefix), onerror=_refuse_folder):
            for file in files:
                path = Path(folder, file)
                if file.startswith(_TEMPORARY):
                    continue  # not an object yet
                with _translated(str(path)), suppress(FileNotFoundError):  # deleted meanwhile
                    found = path.stat()
                    yield StoredObject(str(path.relative_to(self._root)), found.st_size, found.st_mtime)

    def delete(self, name: str) -> None:
        path = self._path(name)
        with _translated(name):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder is not empty
            path.parent.rmdir()

    def delete_all(self, folder: str) -> None:
        with _translated(folder), suppress(FileNotFoundError):
            shutil.rmtree(self._path(folder))

    def local_file(self, name: str) -> Path:
        with _translated(name):
            self._path(name).stat()
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self._root / name


class _File(io.FileIO):
    """A file whose errors name the object; those of the code that reads or writes it stay its own."""

    def __init__(self, file: Path | int, mode: str, name: str) -> None:
        super().__init__(file, mode)
        self._object = name

    def readinto(self, buffer: "Buffer", /) -> int:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise _failed(self._object, error) from error

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _failed(self._object, error) from error


def _make_temporary(path: Path, root: Path) -> tuple[int, str]:
    for _ in range(_TRIES):
        _make_folders(path.parent, root)
        with suppress(FileNotFoundError):  # another process's `delete` found the folder empty in between
            return tempfile.mkstemp(dir=path.parent, prefix=f"{_TEMPORARY}{path.name}.")
    raise FileNotFoundError(f"{path.parent} is removed each time it is made")


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


def _refuse_folder(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise _failed(str(error.filename), error) from error


def _failed(name: str, error: OSError) -> FileOperationError:
    return FileOperationError(f"{name}: {error.strerror or type(error).__name__}")
