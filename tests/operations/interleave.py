"""Runs one operation in the midst of another: before each of the other's calls to the store and the storage in turn."""

import dataclasses
from collections.abc import Callable
from typing import Any

from batch_router.road.context import Context


class _Watched:
    """An object that calls back before each of its methods is called."""

    def __init__(self, inner: Any, before: Callable[[], None]) -> None:
        self._inner = inner
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._before()
            return found(*args, **kwargs)

        return call


class Moment:
    """A context in which something happens before the call of this number, once.

    Attributes:
        has_come: whether there were as many calls.
    """

    def __init__(self, number: int, event: Callable[[], None]) -> None:
        self._left = number
        self._event = event
        self.has_come = False

    def within(self, context: Context, *, storage: bool) -> Context:
        """The context; calls to the storage count, too, if this is set."""
        watched: dict[str, Any] = {"store": _Watched(context.store, self._count)}
        if storage:
            watched["storage"] = _Watched(context.storage, self._count)
        return dataclasses.replace(context, **watched)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.has_come:
            self.has_come = True
            self._event()
