"""From a row in storage to what an engine gets: checked, with its media, and written again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from ...bounds import Bounds, beyond
from .media import Media, MediaError, Place, find_media
from .room import Room
from .rows import INVALID, UNREACHABLE, RowError, read

# How many of the largest rows are held at a time, and so how many have their media fetched.
LARGEST_AT_A_TIME = 4


class Rules(NamedTuple):
    """What holds for the rows of a job.

    Attributes:
        model: of the job.
        media_hosts: the only hosts that media are fetched from; empty: all that are public.
        bounds: of this process.
    """

    model: str
    media_hosts: frozenset[str] = frozenset()
    bounds: Bounds = Bounds()


class Prepared(NamedTuple):
    """A row for an engine; `body` is JSON."""

    row_id: str
    url: str
    body: bytes

    def line(self) -> bytes:
        """The row as a line of a file for `run-batch`."""
        row = {"custom_id": self.row_id, "method": "POST", "url": self.url, "body": msgspec.Raw(self.body)}
        return msgspec.json.encode(row) + b"\n"


class Preparer:
    """Prepares the rows of a job; an asynchronous context manager, for its connections."""

    def __init__(self, rules: Rules) -> None:
        self._model = rules.model
        self._most = rules.bounds.max_row_bytes
        self._room = Room(LARGEST_AT_A_TIME * self._most)
        self._media = Media(rules.media_hosts, self._most)

    async def __aenter__(self) -> "Preparer":
        await self._media.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._media.__aexit__(*error)

    @asynccontextmanager
    async def prepared(self, line: bytes) -> AsyncIterator[Prepared]:
        """A row for an engine; it counts as held for as long as the block runs.

        Raises:
            RowError: no engine gets it.
        """
        row = read(line, self._model)
        media = find_media(row.body)
        taken = await self._room.take(self._most if media else len(line))
        try:
            if media:
                await self._fetch(media, len(line))
            body = self._encode(row.body)
            self._room.give(taken - len(body))
            taken = len(body)
            row.body, media = {}, []  # they may have megabytes
            yield Prepared(row.custom_id, row.url, body)
        finally:
            self._room.give(taken)

    async def _fetch(self, media: list[Place], size: int) -> None:
        try:
            await self._media.put_into(media, size)
        except MediaError as error:
            raise RowError(UNREACHABLE if error.passing else INVALID, str(error)) from error

    def _encode(self, body: dict[str, object]) -> bytes:
        try:
            content = msgspec.json.encode(body)
        except (ValueError, OverflowError) as error:  # a number beyond 64 bits
            raise RowError(INVALID, f"the row is not valid: {error}") from error
        if len(content) > self._most:
            raise RowError(INVALID, f"the row has {beyond('max_row_bytes', self._most)} bytes with its media")
        return content
