"""The one place that turns names into paths: they come from the store and from providers, and never lead elsewhere."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..exceptions import FileOperationError
from .printable import printable

#: Below it a folder for each provider, and in that one for each batch.
FOLDERS: Final = "generated"

# Letters, digits, `_`, `-` and, inside, `.`: no part is `..`, hidden, empty or absolute. File systems take 255 bytes.
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,7}}")
_SHARD_FOLDER = re.compile(rf"{FOLDERS}/{_PART}/{_PART}/{_PART}")
_SHOWN = 100


def batch_folder(provider: str, batch_id: str) -> str:
    """Where the objects of a batch lie."""
    return f"{FOLDERS}/{provider}/{batch_id}"


def is_of_batch(name: str, provider: str, batch_id: str) -> bool:
    """Whether this can be the name of an object of a batch."""
    return name.startswith(f"{batch_folder(provider, batch_id)}/") and is_name(name)


def is_name(name: str) -> bool:
    """Whether this can be the name of an object: folders and a last part, joined by `/`."""
    return _NAME.fullmatch(name) is not None


def check_shard_folder(name: str) -> str:
    """The name of a shard's folder, which holds nothing else.

    Raises:
        FileOperationError: it is none; nothing is deleted.
    """
    if _SHARD_FOLDER.fullmatch(name) is None:
        raise FileOperationError(f"{_shown(name)} is not the folder of a shard; nothing was touched")
    return name


def path_below(root: Path, name: str) -> Path:
    """The path of the object `name` in the folder `root`.

    Raises:
        FileOperationError: it is no name that we could have made; the storage does not touch it.
    """
    if not is_name(name):
        raise FileOperationError(f"{_shown(name)} is not the name of an object of batch_router; nothing was touched")
    return root / name


@contextmanager
def folder_below(root: Path, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """The folder of the object `name`, open, and the last part of the name. A symbolic link below `root` is an error.

    Args:
        root: the folder of all objects.
        name: the object's.
        make: whether folders below `root` that are missing are made.

    Raises:
        FileOperationError: as in `path_below`.
        OSError: a folder cannot be opened.
    """
    path = path_below(root, name)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in path.relative_to(root).parts[:-1]:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=folder)
            passed, folder = folder, _open_folder(part, folder)
            os.close(passed)
        yield folder, path.name
    finally:
        os.close(folder)


def _open_folder(name: str, parent: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except NotADirectoryError as error:
        raise NotADirectoryError(
            error.errno, f"{name} is no folder; no symbolic link is followed in the storage"
        ) from None


def _shown(name: str) -> str:
    return repr(printable(name, _SHOWN))
