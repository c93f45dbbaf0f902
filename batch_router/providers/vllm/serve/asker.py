"""One row over HTTP: the request, its retries, and the answer in the form in which `run-batch` writes it.

With aiohttp: at 512 rows at a time, a row costs it a third of a millisecond of a processor that the engine wants, too;
the HTTP client of the SDKs takes 6 ms.
"""

import asyncio
import io
from collections.abc import Mapping
from contextlib import suppress

import aiohttp
import msgspec

from ....bounds import Bounds, beyond
from ....connections import Http, TooLargeError, read
from ....exceptions import CredentialsError, ProviderAPIError, ProviderUnavailableError, RateLimitedError
from ....jsonl import decode_leniently, is_clean
from ....retry_after import read_retry_after
from ....security.printable import printable
from ..._http.proxies import proxy_of
from ..errors import NAME
from ..preparing import Prepared
from ..rows import INVALID, refuse

_CONNECT_WITHIN = 60.0
# Shorter than the five seconds of the server: a connection that it is just closing looks like a breakdown.
_KEEP_ALIVE = 2.0
# Seconds before each retry of a row that was refused for a passing reason; the server may ask for more.
_PAUSES = (1.0, 4.0)
_LONGEST_PAUSE = 60.0
# The server has no room for rows, or is not there: this row is not to blame.
_AWAY = frozenset({429, 502, 503})
# Bytes of an answer that is not JSON, or of an id, that are kept.
_QUOTED = 200
# Bytes of an answer that is not quite JSON, and is repaired.
_MOST_REPAIRED = 1 << 20
_PASSING = _AWAY | {408, 409, 425, 500, 504}


class ServerGoneError(Exception):
    """The server went away while it had a row."""


class Asker:
    """Sends rows to a server; an asynchronous context manager, for its connections.

    Args:
        url: below which `/v1/...` is.
        key: the API key that the server asks for, if any.
        connections: how many at most.
        trust_env: whether to use the proxies of the environment.
        bounds: of this process.
    """

    def __init__(self, url: str, key: str | None, *, connections: int, trust_env: bool, bounds: Bounds) -> None:
        self._url = url
        self._proxy = proxy_of(url) if trust_env else None
        self._bounds = bounds
        self._large = asyncio.Lock()
        self._http = Http(
            connections=connections,
            # No bound on a row: it waits in the server's queue and in its engine.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            public_only=False,
            encrypted=url.startswith("https:"),
            keep_alive=_KEEP_ALIVE,
        )

    async def __aenter__(self) -> "Asker":
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.__aexit__(*error)

    async def ask(self, row: Prepared) -> bytes:
        """Send a row; returns its answer.

        Raises:
            ServerGoneError: the server went away before it answered.
            ProviderAPIError: the server refuses the key, or takes no rows at present.
        """
        for pause in (*_PAUSES, None):
            try:
                status, headers, content = await self._post(self._url + row.url, row.body)
            except TooLargeError:
                most = self._bounds.max_answer_bytes
                return refuse(row.row_id, INVALID, f"the answer has {beyond('max_answer_bytes', most)} bytes")
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
        return _as_line(row.row_id, status, headers, content)

    async def _post(self, url: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        data = io.BytesIO(body)  # sent piece by piece: a row with images has megabytes
        try:
            async with self._http.post(url, data, proxy=self._proxy) as answer:
                content = await read(answer, self._bounds.max_answer_bytes, self._large)
                return answer.status, answer.headers, content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerGoneError from error


def _away(status: int, headers: Mapping[str, str]) -> ProviderAPIError:
    kind = RateLimitedError if status == 429 else ProviderUnavailableError
    message = "the server takes no rows at present"
    return kind(NAME, status, message, retry_after=read_retry_after(headers))


def _as_line(row_id: str, status: int, headers: Mapping[str, str], content: bytes) -> bytes:
    body = _object_of(content)
    request_id = headers.get("x-request-id", "")[:_QUOTED] or None
    response = {"status_code": status, "request_id": request_id, "body": body}
    error: object = None
    if not 200 <= status < 300 or body is None:
        response["body"] = None
        quoted = printable(content[:_QUOTED].decode(errors="replace"), _QUOTED)
        error = {"error": {"message": quoted}} if body is None else body
    return msgspec.json.encode({"id": "", "custom_id": row_id, "response": response, "error": error}) + b"\n"


def _object_of(content: bytes) -> msgspec.Raw | None:
    """The object of an answer, in one line and not taken apart: a million values would take much more memory."""
    with suppress(msgspec.DecodeError, RecursionError):
        if is_clean(content):
            line = msgspec.json.format(content, indent=-1)
            return msgspec.Raw(line) if line.startswith(b"{") else None
    if len(content) > _MOST_REPAIRED:
        return None
    try:
        body, _ = decode_leniently(content)
    except ValueError:
        return None
    return msgspec.Raw(msgspec.json.encode(body)) if isinstance(body, dict) else None
