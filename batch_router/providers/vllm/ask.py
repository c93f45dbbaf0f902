"""One row over HTTP: what is asked, what is asked again, and the answer as `run-batch` would write it.

By aiohttp: with 512 under way a row costs the HTTP client of the SDKs 6 ms of a processor that the engine wants, too,
and this one a third of a millisecond.
"""

import asyncio
import io
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import msgspec

from ...exceptions import CredentialsError, ProviderAPIError, ProviderUnavailableError, RateLimitedError
from ...jsonl import decode_leniently
from .._http.retry_after import read_retry_after
from . import failures

_CONNECT_WITHIN = 60.0
# Shorter than the server's five seconds: a connection that it is just closing looks like a breakdown.
_KEEP_ALIVE = 2.0
# Seconds before a row that was refused for a passing reason is sent again, each time; the server may ask for more.
_PAUSES = (1.0, 4.0)
_LONGEST_PAUSE = 60.0
# It has no room for rows, or is not there: no matter of this one.
_AWAY = frozenset({429, 502, 503})
_PASSING = _AWAY | {408, 409, 425, 500, 504}


class BrokenError(Exception):
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
        key: what the server asks for, if anything.
        connections: how many at most.
        trust_env: whether the environment's proxies are between it and us.
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
        # A row may take as long as it takes, in the server's queue and in its engine.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN)
        self._http = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.close()

    async def ask(self, line: bytes) -> bytes:
        """Send a row; its answer.

        Raises:
            BrokenError: there was none.
            ProviderAPIError: the server refuses the key, or all rows for now.
        """
        row = _decode(line)
        for pause in (*_PAUSES, None):
            status, headers, content = await self._post(self._url + row.url, row.body)
            if status in (401, 403):
                raise CredentialsError(failures.NAME, status, "the server refuses the key")
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
            raise BrokenError from error


def _proxy_of(url: str) -> str | None:
    """Looked up once: aiohttp itself does so for each request, in a thread."""
    parts, proxies = urlsplit(url), getproxies()
    return None if proxy_bypass(parts.netloc) else proxies.get(parts.scheme, proxies.get("all"))


def _away(status: int, headers: Mapping[str, str]) -> ProviderAPIError:
    kind = RateLimitedError if status == 429 else ProviderUnavailableError
    message = f"the server takes no rows now (HTTP {status})"
    return kind(failures.NAME, status, message, retry_after=read_retry_after(headers))


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
