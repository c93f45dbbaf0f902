"""The one place that makes asynchronous HTTP connections: no redirect, no cookie, no compression, bounded answers."""

import asyncio
import errno
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import IO, Any

import aiohttp
import httpx2

from .security.addresses import is_public

_PIECE = 1 << 16
_LITTLE = 1 << 16


class TooLargeError(Exception):
    """An answer has more bytes than are taken of it."""


class NotPublicError(OSError):
    """A host has an address that is not a public one."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the host has no public address")


class Http:
    """Connections to servers; an asynchronous context manager.

    Args:
        connections: how many at most.
        timeout: of each request.
        headers: of each request.
        public_only: whether only public addresses are connected to, whatever the name of a host resolves to.
        encrypted: whether there may be `https` URLs.
        keep_alive: seconds that an idle connection stays open.
    """

    def __init__(
        self,
        *,
        connections: int,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str],
        public_only: bool,
        encrypted: bool,
        keep_alive: float,
    ) -> None:
        self._encrypted = encrypted
        self._options: dict[str, Any] = {"limit": connections, "keepalive_timeout": keep_alive}
        if public_only:
            # Called with the very address that is connected to next: what a name resolves to later is no matter.
            self._options["socket_factory"] = _public_socket
        self._timeout = timeout
        self._headers = {**headers, "Accept-Encoding": "identity"}

    async def __aenter__(self) -> "Http":
        # The certificates that the other clients trust: aiohttp by itself knows none of the system's on macOS.
        trusted = httpx2.create_ssl_context() if self._encrypted else True
        connector = aiohttp.TCPConnector(ssl=trusted, **self._options)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    def get(self, url: str, *, proxy: str | None = None) -> "aiohttp.client._RequestContextManager":
        """A request, to be entered with `async with`."""
        return self._session.get(url, proxy=proxy, allow_redirects=False)

    def post(
        self, url: str, content: IO[bytes] | bytes, *, proxy: str | None = None
    ) -> "aiohttp.client._RequestContextManager":
        """The same with a content; a file is sent piece by piece."""
        return self._session.post(url, data=content, proxy=proxy, allow_redirects=False)


async def read(answer: aiohttp.ClientResponse, most: int, large: asyncio.Lock) -> bytes:
    """The content of an answer.

    Args:
        answer: whose headers have arrived.
        most: bytes.
        large: held while more than a little of it is held, so that of many answers one at a time is large.

    Raises:
        TooLargeError: it has more bytes than `most`.
    """
    content = bytearray()
    async with AsyncExitStack() as turn:
        async for piece in answer.content.iter_chunked(_PIECE):
            if len(content) <= _LITTLE < len(content) + len(piece):
                await turn.enter_async_context(large)
            content += piece
            if len(content) > most:
                raise TooLargeError
        return bytes(content)


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    if not is_public(ip_address(address[0])):
        raise NotPublicError
    return socket.socket(family=family, type=kind, proto=protocol)
