"""The rows of a batch: in a file of the user's, or in storage."""

from pathlib import Path
from typing import BinaryIO, cast

from ..exceptions import FileOperationError
from ..state.items import InputFile
from ..storage import Storage


def open_input(storage: Storage, rows: InputFile) -> BinaryIO:
    """The rows, for reading.

    Raises:
        FileOperationError: they cannot be read.
    """
    if rows.path is None:
        return storage.open(str(rows.stored))
    try:
        return cast(BinaryIO, Path(rows.path).open("rb", buffering=0))
    except OSError as error:
        raise FileOperationError(f"{rows.path}: {error.strerror}") from error
