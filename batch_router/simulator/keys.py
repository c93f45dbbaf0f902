"""Whose account a request is for: what one key made, another key does not see."""

from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

#: The key whose account the present request is for; empty where all keys share one account.
KEY: ContextVar[str] = ContextVar("KEY", default="")


class Mine(MutableMapping[str, T]):
    """Things by their id, in the order in which they came: only those of the present request's account.

    Args:
        kind: of the things: dataclasses.
        file: that keeps them from one simulator to the next.
    """

    def __init__(self, kind: type[T], file: Path) -> None:
        self._file = file
        self._by_key: defaultdict[str, dict[str, T]] = defaultdict(dict, _read(kind, file))

    @property
    def _mine(self) -> dict[str, T]:
        return self._by_key[KEY.get()]

    def __getitem__(self, name: str) -> T:
        return self._mine[name]

    def __setitem__(self, name: str, thing: T) -> None:
        self._mine[name] = thing

    def __delitem__(self, name: str) -> None:
        del self._mine[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mine)

    def __len__(self) -> int:
        return len(self._mine)

    def save(self) -> None:
        """Write down what there is, for the next simulator."""
        new = self._file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(dict(self._by_key), enc_hook=str))
        new.replace(self._file)

    def newest_first(self) -> list[T]:
        """All of them, the last one first."""
        return [*self._mine.values()][::-1]


def _read(kind: type[T], file: Path) -> dict[str, dict[str, T]]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    everything: Any = dict[str, dict[str, kind]]  # type: ignore[valid-type]
    found: dict[str, dict[str, T]] = msgspec.json.decode(content, type=everything, dec_hook=lambda _, path: Path(path))
    return found
