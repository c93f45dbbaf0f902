"""Whose turn it is: which of the things that come with certain calls come with this one."""

import re
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from aiohttp import web

from .parts import Calls

T = TypeVar("T", bound=Calls)

#: The path of a request below its provider's prefix; set before anything else happens.
PATH = web.RequestKey("path", str)


class Turns(Generic[T]):
    """Counts the calls that match each of some things."""

    def __init__(self, things: Sequence[T]) -> None:
        self._things = things
        self._matched = [0] * len(things)

    def of(self, request: web.Request) -> Iterator[T]:
        """The things that come with this call. A thing that is not asked for does not count the call."""
        call = f"{request.method} {request[PATH]}"
        for number, thing in enumerate(self._things):
            if not re.fullmatch(thing.match, call):
                continue
            self._matched[number] += 1
            past = self._matched[number] - thing.after
            if past > 0 and (thing.times is None or past <= thing.times):
                yield thing
