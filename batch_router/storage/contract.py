"""What a storage must do. The contract test in `tests/storage/` runs over every implementation.

An object is there whole or not at all. Names are made by us (see `road.layout`), with `/` between folders; but they
come back from the store, so a name that `security.paths` refuses is an error in each method. All methods raise
`FileOperationError`, and nothing of the system's or an SDK's.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol

#: Reads `length` bytes at `offset`; fewer at the end of the object.
ReadRange = Callable[[int, int], bytes]


class StoredObject(NamedTuple):
    """An object as a list shows it: `size` in bytes, `modified_at` in seconds since 1970 by the storage's clock."""

    name: str
    size: int
    modified_at: float


class Storage(Protocol):
    """Payloads by name. To read what is not there is a `FileMissingError`.

    Attributes:
        address: what tells this storage from others; all workers of a store must have the same one.
    """

    address: str

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A stream whose content becomes the object when the block ends; if it raises, nothing is left."""

    def open(self, name: str) -> BinaryIO:
        """The object, for reading from its start."""

    def ranges(self, name: str) -> AbstractContextManager[ReadRange]:
        """Reads any ranges of the object while the block runs."""

    def size(self, name: str) -> int:
        """Bytes of the object."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects whose names begin with the prefix (whole folders: `generated/openai`), in any order."""

    def delete(self, name: str) -> None:
        """Remove the object, if it is there."""

    def delete_all(self, folder: str) -> None:
        """Remove the folder of a shard with all that is in it, unfinished writes too; any other folder is an error."""
