"""How much a job holds at a time: rows with images have megabytes, and hundreds of rows are under way."""

import asyncio
from collections import deque


class Room:
    """So many bytes, of which rows take what they have, in their order.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait for so many bytes, or for all of them if it is more; returns how many were taken."""
        size = min(size, self._size)
        if self._waiting or self._free < size:
            await self._wait(size)
        else:
            self._free -= size
        return size

    def give(self, size: int) -> None:
        """Give back what was taken; less than nothing takes more, without a wait."""
        self._free += size
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= wanted
                turn.set_result(None)

    async def _wait(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given just now
                self.give(size)
            raise
