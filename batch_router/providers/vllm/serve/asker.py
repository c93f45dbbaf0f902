"""One row over HTTP: the request, its retries, and the answer in the form in which `run-batch` writes it.

With aiohttp: at 512 rows at a time, a row costs it a third of a millisecond of a processor that the engine wants, too;
the HTTP client of the SDKs takes 6 ms.
"""

import asyncio
import io
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import msgspec

from ....exceptions import CredentialsError, ProviderAPIError, ProviderUnavailableError, RateLimitedError
from ....jsonl import decode_leniently
from ..._http.retry_after import read_retry_after
from ..errors import NAME

_CONNECT_WITHIN = 60.0
# Shorter than the five seconds of the server: a connection that it is just closing looks like a breakdown.
_KEEP_ALIVE = 2.0
# Seconds before each retry of a row that was refused for a passing reason; the server may ask for more.
_PAUSES = (1.0, 4.0)
_LONGEST_PAUSE = 60.0
# The server has no room for rows, or is not there: this row is not to blame.
_AWAY = frozenset({429, 502, 503})
_PASSING = _AWAY | {408, 409, 425, 500, 504}


class ServerGoneError(Exception):
    """The server went away while it had a row."""


class _Row(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw


_decode = msgspec.json.Decoder(_Row).decode


class Asker:
    """Sends rows to a server; an asynchronous context manager, for its connections.

    Args:
        url: below which `/v1/...` is.
        key: the API key that the server asks for, if any.
        connections: how many at most.
        trust_env: whether to use the proxies of the environment.
    """

    def __init__(self, url: str, key: str | None, *, connections: int, trust_env: bool) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._proxy = _proxy_of(url) if trust_env else None
        self._connections = connections

    async def __aenter__(self) -> "Asker":
        # The certificates that the other clients trust: aiohttp by itself knows none of the system's on macOS.
        trusted = httpx2.create_ssl_context() if self._url.startswith("https:") else True
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEP_ALIVE, ssl=trusted)
        # No bound on a row: it waits in the server's queue and in its engine.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN)
        self._http = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()

    async def ask(self, line: bytes) -> bytes:
        """Send a row; returns its answer.

        Raises:
            ServerGoneError: the server went away before it answered.
            ProviderAPIError: the server refuses the key, or takes no rows at present.
        """
        row = _decode(line)
        for pause in (*_PAUSES, None):
            status, headers, content = await self._post(self._url + row.url, row.body)
            if status in (401, 403):
                raise CredentialsError(NAME, status, "the server refuses the key")
            if pause is None or status not in _PASSING:
                break
            asked = read_retry_after(headers) or 0
            if status in _AWAY and asked > _LONGEST_PAUSE:
                break
            await asyncio.sleep(min(max(pause, asked), _LONGEST_PAUSE))
        if status in _AWAY:
            raise _away(status, headers)
        return _as_line(row.custom_id, status, headers, content)

    async def _post(self, url: str, body: msgspec.Raw) -> tuple[int, Mapping[str, str], bytes]:
        data = io.BytesIO(body)  # sent piece by piece: a row with images has megabytes
        try:
            async with self._http.post(url, data=data, proxy=self._proxy, allow_redirects=False) as answer:
                return answer.status, answer.headers, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerGoneError from error


def _proxy_of(url: str) -> str | None:
    """The proxy for a URL. aiohttp itself would look it up for each request, in a thread."""
    parts, proxies = urlsplit(url), getproxies()
    return None if proxy_bypass(parts.netloc) else proxies.get(parts.scheme, proxies.get("all"))


def _away(status: int, headers: Mapping[str, str]) -> ProviderAPIError:
    kind = RateLimitedError if status == 429 else ProviderUnavailableError
    message = "the server takes no rows at present"
    return kind(NAME, status, message, retry_after=read_retry_after(headers))


def _as_line(row_id: str, status: int, headers: Mapping[str, str], content: bytes) -> bytes:
    try:
        body, _ = decode_leniently(content)
    except ValueError:
        body = None
    response = {"status_code": status, "request_id": headers.get("x-request-id"), "body": body}
    error = None
    if not 200 <= status < 300 or not isinstance(body, dict):
        response["body"] = None
        error = body if isinstance(body, dict) else {"error": {"message": content.decode(errors="replace")[:200]}}
    return msgspec.json.encode({"id": "", "custom_id": row_id, "response": response, "error": error}) + b"\n"
