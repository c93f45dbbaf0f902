"""How much a job holds at a time: rows with images have megabytes, and hundreds of rows are under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Share:
    """What one row takes of a room; `size` in bytes."""

    def __init__(self, size: int) -> None:
        self.size = size


class Room:
    """So many bytes, of which rows take their shares.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def share(self, size: int) -> AsyncIterator[Share]:
        """Wait for so many bytes, or for all if it is more, and hold them for as long as the block runs."""
        share = Share(min(size, self._size))
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= share.size)
            self._free -= share.size
        try:
            yield share
        finally:
            await self._give(share.size)

    async def shrink(self, share: Share, size: int) -> None:
        """Give back what a share has beyond `size` bytes."""
        if size < share.size:
            over, share.size = share.size - size, size
            await self._give(over)

    async def _give(self, size: int) -> None:
        async with self._changed:
            self._free += size
            self._changed.notify_all()
