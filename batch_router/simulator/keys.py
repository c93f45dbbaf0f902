"""Whose account a request is for: what one key made, another key does not see."""

from collections import defaultdict
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

#: The key whose account the present request is for; empty where all keys share one account.
KEY: ContextVar[str] = ContextVar("KEY", default="")


class Mine(MutableMapping[str, T]):
    """Things by their id, in the order in which they came: only those of the present request's account."""

    def __init__(self) -> None:
        self._by_key: defaultdict[str, dict[str, T]] = defaultdict(dict)

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

    def newest_first(self) -> list[T]:
        """All of them, the last one first."""
        return [*self._mine.values()][::-1]
