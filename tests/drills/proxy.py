"""A proxy for TCP that a drill turns to another server, and that may hold back what the server says."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

_CHUNK = 1 << 16


class Proxy:
    """Forwards connections on a port of its own, in a thread.

    Args:
        target: the port of the server.
        delay: how many seconds the server's answers are held back.
    """

    def __init__(self, target: int, delay: float = 0) -> None:
        self._target = target
        self._delay = delay
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def turn(self, target: int) -> None:
        """Cut all connections; new ones lead to this port."""
        self._target = target
        self._loop.call_soon_threadsafe(self._cut)

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        self._cut()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # the latter at the end of the proxy
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            both = {writer, back}
            self._writers |= both
            late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
            await asyncio.gather(
                *map(_until_closed, (_forward(reader, back), self._take(there, late), _give(late, writer)))
            )
            self._writers -= both
            back.close()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, late: "asyncio.Queue[tuple[float, bytes]]") -> None:
        while chunk := await reader.read(_CHUNK):
            late.put_nowait((self._loop.time() + self._delay, chunk))
        late.put_nowait((self._loop.time(), b""))


async def _until_closed(work: Coroutine[Any, Any, None]) -> None:
    with suppress(OSError):
        await work


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def _give(late: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
    while True:
        due, chunk = await late.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if not chunk:
            break
        writer.write(chunk)
        await writer.drain()
    writer.close()
