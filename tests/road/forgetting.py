"""A store that forgets, and a storage that fails: what a fleet's own servers do on a bad day."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from batch_router.exceptions import FileOperationError
from batch_router.state.memory import MemoryStore
from batch_router.storage.contract import ReadRange, StoredObject
from tests.road.fleet import Fleet
from tests.road.seams import SeamStorage

#: What a store keeps that forgets: how it is reached, and what a test of it holds.
_KEPT = ("_lock", "_clock", "epoch")


class Back(NamedTuple):
    """How far back a store is put: to what it was so many changes, or so many seconds, ago."""

    changes: int = 0
    seconds: float = 0.0


EVERYTHING = Back(seconds=float("inf"))


class Past:
    """What a store held at each time, so that it can be put back."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._past: list[tuple[float, dict[str, Any]]] = []
        self.remember()

    def remember(self) -> None:
        """Keep what the store holds now."""
        held = {name: _copy(value) for name, value in vars(self._store).items() if name not in _KEPT}
        if not self._past or held != self._past[-1][1]:
            self._past.append((self._store.now(), held))

    def forget(self, back: Back) -> None:
        """Put the store back; the next epoch begins."""
        until = self._store.now() - back.seconds
        while len(self._past) > 1 and (back.changes > 0 or self._past[-1][0] > until):
            self._past.pop()
            back = back._replace(changes=back.changes - 1)
        vars(self._store).update({name: _copy(value) for name, value in self._past[-1][1].items()})
        self._store.epoch += "'"


def _copy(value: Any) -> Any:
    """Containers are copied; what they hold in the end does not change."""
    if isinstance(value, dict):
        copied = value.copy()
        copied.update({name: _copy(each) for name, each in value.items()})
        return copied
    return value.copy() if isinstance(value, set) else value


class FailingStorage(SeamStorage):
    """A storage that is away for a while. Attributes: `away_until`, by the fleet's clock."""

    def __init__(self, root: Any, fleet: Fleet) -> None:
        super().__init__(root, fleet)
        self.away_until = 0.0
        self._written: dict[str, float] = {}

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        self._reach(name)
        with super().write(name) as stream:
            yield stream
            self._reach(name)
            self._written[name] = self._fleet.clock.now

    def open(self, name: str) -> BinaryIO:
        self._reach(name)
        return super().open(name)

    @contextmanager
    def ranges(self, name: str) -> Iterator[ReadRange]:
        self._reach(name)
        with super().ranges(name) as read:
            yield read

    def size(self, name: str) -> int:
        self._reach(name)
        return super().size(name)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self._reach(prefix)
        for found in super().list(prefix):
            yield found._replace(modified_at=self._written.get(found.name, 0.0))

    def delete(self, name: str) -> None:
        self._reach(name)
        super().delete(name)

    def delete_all(self, folder: str) -> None:
        self._reach(folder)
        super().delete_all(folder)

    def _reach(self, name: str) -> None:
        if self._fleet.clock.now < self.away_until:
            error = OSError(errno.EIO, os.strerror(errno.EIO))
            raise FileOperationError(f"{name}: {error.strerror}") from error
