"""Payloads in a folder that all workers of a fleet can reach."""

import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from ..exceptions import FileMissingError, FileOperationError, ValidationError
from ..security.files import check_home, make_home, open_regular, stat_regular
from ..security.paths import check_shard_folder, folder_below, is_name
from ..system_errors import describe
from .contract import ReadRange, StoredObject

if TYPE_CHECKING:
    from typing_extensions import Buffer

_BUFFER = 1 << 18
_TRIES = 20
_TEMPORARY = "."  # begins the names of files that are being written


class FolderStorage:
    """See `Storage`: each object is a file. Symbolic links in the storage are not followed.

    Args:
        root: made when the first object is written; objects are 0600, folders 0700: they hold prompts.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.address = str(self._root)
        self._is_checked = False

    @property
    def _top(self) -> Path:
        """The root, if no other user could have prepared it. Looked at once, by a process that needs its files."""
        if not self._is_checked:
            try:
                check_home(self._root)
            except ValidationError as error:
                raise FileOperationError(str(error)) from error
            self._is_checked = True
        return self._root

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        with ExitStack() as folders:
            with _translated(name):
                folder, last, temporary, handle = self._begin(name, folders)
            try:
                with io.BufferedWriter(_File(handle, "wb", name), _BUFFER) as stream:
                    yield cast(BinaryIO, stream)
                    stream.flush()
                    with _translated(name):
                        os.fsync(stream.fileno())
                with _translated(name):
                    os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)  # without this, a power cut may forget the rename, though not the bytes
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    def open(self, name: str) -> BinaryIO:
        with _translated(name):
            return cast(BinaryIO, io.BufferedReader(_File(self._open(name), "rb", name), _BUFFER))

    @contextmanager
    def ranges(self, name: str) -> Iterator[ReadRange]:
        with _translated(name):
            handle = self._open(name)

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
        with _translated(name), folder_below(self._top, name) as (folder, last):
            return stat_regular(last, folder).st_size

    def list(self, prefix: str) -> Iterator[StoredObject]:
        above, _, _ = prefix.rpartition("/")
        with _translated(prefix), suppress(FileNotFoundError), folder_below(self._top, prefix) as (folder, last):
            for path, _, files, inside in os.fwalk(last, onerror=_refuse_folder, dir_fd=folder):
                for file in files:
                    name = str(PurePosixPath(above, path, file))
                    with suppress(FileNotFoundError):  # deleted meanwhile
                        found = os.stat(file, dir_fd=inside, follow_symlinks=False)
                        if stat.S_ISREG(found.st_mode) and is_name(name):  # else it is not ours, or not written yet
                            yield StoredObject(name, found.st_size, found.st_mtime)

    def delete(self, name: str) -> None:
        with _translated(name), suppress(FileNotFoundError), folder_below(self._top, name) as (folder, last):
            os.unlink(last, dir_fd=folder)
            if above := PurePosixPath(name).parent.name:
                with suppress(OSError):  # the folder is not empty
                    os.rmdir(f"../{above}", dir_fd=folder)

    def delete_all(self, folder: str) -> None:
        check_shard_folder(folder)
        with _translated(folder), suppress(FileNotFoundError), folder_below(self._top, folder) as (parent, last):
            shutil.rmtree(last, dir_fd=parent)

    def _open(self, name: str) -> int:
        with folder_below(self._top, name) as (folder, last):
            return open_regular(last, os.O_RDONLY, folder)

    def _begin(self, name: str, folders: ExitStack) -> tuple[int, str, str, int]:
        """A temporary file: its folder, the name to come, its own name, and its descriptor."""
        for _ in range(_TRIES):
            with suppress(FileNotFoundError), ExitStack() as tried:
                folder, last = tried.enter_context(folder_below(self._top, name, make=True))
                temporary = f"{_TEMPORARY}{last}.{secrets.token_hex(4)}"
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
                folders.push(tried.pop_all())
                return folder, last, temporary, handle
            # The storage is new, or another process's `delete` found a folder of it empty in between.
            self._make_root()
        raise FileNotFoundError(errno.ENOENT, "its folder is removed each time it is made")

    def _make_root(self) -> None:
        try:
            make_home(self._root)
        except ValidationError as error:
            raise FileOperationError(str(error)) from error


class _File(io.FileIO):
    """A file whose errors name the object; those of the code that reads or writes it stay its own."""

    def __init__(self, file: int, mode: str, name: str) -> None:
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
    kind = FileMissingError if isinstance(error, FileNotFoundError) else FileOperationError
    return kind(describe(error, name))
