"""Images, videos and sounds that rows name by URL: the worker fetches them, so that an engine never does.

An engine would fetch from any address that the worker reaches: services of the machine, of its network, of its cloud.
What is fetched here becomes a data URL in the row.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

import aiohttp
from yarl import URL

from ...bounds import beyond
from ...connections import Http, NotPublicError, TooLargeError, read
from ...security.masking import mask_url
from ...security.printable import printable
from .._http.proxies import proxy_of

# Seconds: to fetch one of them, with the wait for its server, and before each further try.
_FETCH_WITHIN = 60.0
_CONNECT_WITHIN = 10.0
_PAUSES = (1.0, 4.0)
# Of one row. Each takes a request.
_MOST = 100
_CONNECTIONS = 8
_KEEP_ALIVE = 5.0
_SHOWN = 100
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
# The keys of a content part that vLLM, or a tokenizer that it uses, takes for a URL; whatever the part's `type` says.
_KEYS = frozenset({"audio_url", "image_url", "url", "video_url"})
_TYPE = re.compile(r"(?:image|audio|video)/[A-Za-z0-9.+-]{1,50}")
# How files begin whose server does not say what they are.
_SIGNATURES = (
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_UNSAID = frozenset({"", "application/octet-stream", "binary/octet-stream"})


class MediaError(Exception):
    """A row cannot have one of its media.

    Attributes:
        passing: whether the row may be sent again later.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class Place(NamedTuple):
    """Where a URL stands in a row: `part[key]`."""

    part: dict[str, object]
    key: str
    url: str


class Media:
    """Fetches what rows name; an asynchronous context manager.

    Args:
        hosts: the only ones that are fetched from, wherever they are, through the proxies of the environment; empty:
            all that have a public address, and without a proxy, for that would look the address up by itself.
        most: bytes of a row with all of its media.
    """

    def __init__(self, hosts: frozenset[str], most: int) -> None:
        self._hosts = hosts
        self._most = most
        self._open = AsyncExitStack()
        self._connected: Http | None = None
        self._large = asyncio.Lock()

    async def __aenter__(self) -> "Media":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    async def put_into(self, places: list[Place], size: int) -> None:
        """Replace URLs of a row by what is there.

        Args:
            places: where they are; see `find_media`.
            size: of the row, in bytes.

        Raises:
            MediaError: one is refused, is not there or not to be had, or all are too large; the row is incomplete.
        """
        if len(places) > _MOST:
            raise MediaError(f"the row has {len(places)} images, videos and sounds by URL, more than {_MOST}")
        for place in places:
            self._check(place.url)
        for place in places:
            data = await self._fetch(place.url, (self._most - size) * 3 // 4)  # in Base64 it has a third more
            size += len(data)
            place.part[place.key] = data

    def _check(self, text: str) -> None:
        """Refuse a URL that is not to be fetched at all."""
        try:
            url = URL(text)
            host = url.host
        except ValueError as error:
            raise MediaError(f"{_shown(text)} is not a URL") from error
        if url.scheme not in ("http", "https") or not host:
            raise MediaError(f"{_shown(text)}: only http, https and data URLs are taken")
        if self._hosts and host.lower().rstrip(".") not in self._hosts:
            raise MediaError(f"{_shown(text)}: the host is not one of BATCH_ROUTER_VLLM_MEDIA_DOMAINS")

    async def _fetch(self, url: str, most: int) -> str:
        """What is at a URL, as a data URL; a fault that may pass is waited for."""
        for pause in (*_PAUSES, None):
            try:
                return await self._ask(url, most)
            except TooLargeError as error:
                raise MediaError(f"with {_shown(url)} the row has {beyond('max_row_bytes', self._most)}") from error
            except MediaError as error:
                if not error.passing or pause is None:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError  # the last try raises

    async def _ask(self, url: str, most: int) -> str:
        proxy = proxy_of(url) if self._hosts else None
        http = await self._http()
        try:
            async with http.get(url, proxy=proxy) as answer:
                if answer.status != 200:
                    message = f"{_shown(url)} answers {answer.status}; redirects are not followed"
                    raise MediaError(message, passing=answer.status in _PASSING)
                if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise MediaError(f"{_shown(url)} is compressed, which was not asked for")
                content = await read(answer, max(0, most), self._large)
                return f"data:{_type_of(url, answer.content_type, content)};base64,{b64encode(content).decode()}"
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, NotPublicError):
                raise MediaError(f"{_shown(url)}: {error.os_error.strerror}") from error
            raise MediaError(f"{_shown(url)} cannot be reached", passing=True) from error
        except (aiohttp.InvalidURL, UnicodeError) as error:
            raise MediaError(f"{_shown(url)} is not a URL") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise MediaError(f"{_shown(url)} cannot be had: {type(error).__name__}", passing=True) from error

    async def _http(self) -> Http:
        if self._connected is None:
            self._connected = Http(
                connections=_CONNECTIONS,
                timeout=aiohttp.ClientTimeout(total=_FETCH_WITHIN, sock_connect=_CONNECT_WITHIN),
                headers={},
                public_only=not self._hosts,
                encrypted=True,
                keep_alive=_KEEP_ALIVE,
            )
            await self._open.enter_async_context(self._connected)
        return self._connected


def find_media(body: Mapping[str, object]) -> list[Place]:
    """The URLs of a row that are to be fetched, wherever vLLM looks for them: in messages, also those of embeddings."""
    found: list[Place] = []
    messages: list[object] = [body.get("messages"), body.get("input")]
    while messages:
        message = messages.pop()
        if isinstance(message, list):
            messages += message
        elif isinstance(message, dict) and not isinstance(message.get("content"), str):
            found += _in_parts(message.get("content"))
    return found


def _in_parts(content: object) -> Iterator[Place]:
    left = [content]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            for key, value in part.items():
                if key in _KEYS and isinstance(value, str) and value[:5].lower() != "data:":
                    yield Place(part, key, value)
                elif isinstance(value, list | dict):
                    left.append(value)


def _type_of(url: str, said: str, content: bytes) -> str:
    """The media type: as the server says, or by how the content begins."""
    if _TYPE.fullmatch(said):
        return said
    if said in _UNSAID:
        for beginning, kind in _SIGNATURES:
            if content.startswith(beginning):
                return kind
        if content[:4] == b"RIFF" and content[8:12] in _RIFF:
            return _RIFF[content[8:12]]
        if content[4:8] == b"ftyp":
            return "video/mp4"
    raise MediaError(f"{_shown(url)} is no image, video or sound, but {_shown(said)}")


def _shown(text: str) -> str:
    return f"'{printable(mask_url(text), _SHOWN)}'"
