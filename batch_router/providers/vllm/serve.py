"""The engine `vllm serve`: rows over HTTP, so many at a time, each answer into a journal as it comes.

A row that breaks the server down is found by sending those that were under way then again, fewer at a time: at last it
is alone, and gets an error.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice

import httpx2
import msgspec

from ...exceptions import (
    CredentialsError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
)
from ...jsonl import decode_leniently
from ..base import read_retry_after
from . import failures
from .files import Files
from .journal import Journal
from .rows import BREAKDOWN, BREAKDOWN_WORDS, INVALID, MOST_ALONE, Row, check, refuse
from .server import Server
from .watch import Watch

#: vLLM works on up to 256 sequences at a time by itself; a queue of as many again keeps it busy.
CONCURRENCY = 512
_FEWER = 8
_LOOK_EVERY = 0.5
# A row may take as long as it takes, in the server's queue and in its engine.
_TIMEOUT = httpx2.Timeout(None, connect=60)
# Seconds without an answer to any of the rows under way: then the server hangs.
_SILENCE = 3600.0
# Seconds before a row that was refused for a passing reason is sent again, each time; the server may ask for more.
_PAUSES = (1.0, 4.0)
_LONGEST_PAUSE = 60.0
# It has no room for rows, or is not there: no matter of this one.
_AWAY = frozenset({429, 502, 503})
_PASSING = _AWAY | {408, 409, 425, 500, 504}

_decode = msgspec.json.Decoder(Row).decode


class _BrokenError(Exception):
    """The server went away while it had a row."""


class Serve:
    """Answers the rows of a job by a server.

    Args:
        server: which one.
        concurrency: rows under way at a time.
    """

    def __init__(self, server: Server, *, concurrency: int = CONCURRENCY) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
        self._concurrency = concurrency

    def answer(self, files: Files, watch: Watch) -> None:
        """Answer all rows that have no answer yet; fewer, if the job is to end.

        Raises:
            ProviderAPIError: the server does not work, or refuses us; what it answered is kept.
        """
        files.keep()
        if next(files.unanswered(), None) is None:
            return
        limit, suspects, alone = self._concurrency, None, 0
        while (url := self._server.ready(watch)) is not None:
            try:
                asyncio.run(self._send(files, watch, url, limit, suspects))
            except _BrokenError:
                if (error := self._server.breakdown()) is not None:
                    raise error from None
                if limit > 1:
                    suspects, limit = limit, max(1, limit // _FEWER)
                    continue
                alone += 1
                if alone == MOST_ALONE:
                    message = "the engine breaks down on every row"
                    raise RequestRefusedError(failures.NAME, 0, message) from None
                files.add([refuse(next(files.unanswered()), BREAKDOWN, BREAKDOWN_WORDS)])
            else:
                if watch.should_end():
                    break
                if suspects is None:
                    return
                alone = 0
            limit, suspects = self._concurrency, None
        self._server.end()

    async def _send(self, files: Files, watch: Watch, url: str, limit: int, most: int | None) -> None:
        """Send the next rows without an answer, at most `most`; ends early if the job is to end."""
        watch.completed = len(files.answered())
        # Shorter than the server's five seconds: a connection that it is just closing looks like a breakdown.
        connections = httpx2.Limits(max_connections=limit, keepalive_expiry=2)
        async with httpx2.AsyncClient(
            base_url=url,
            headers=self._headers,
            timeout=_TIMEOUT,
            limits=connections,
            trust_env=self._server.trust_env,
        ) as http:
            with Journal(files.next_part()) as journal:
                await self._fly(http, islice(files.unanswered(), most), journal, watch, limit)

    async def _fly(
        self, http: httpx2.AsyncClient, rows: Iterator[bytes], journal: Journal, watch: Watch, limit: int
    ) -> None:
        """Keep `limit` rows under way; once something went wrong, let those come to their end.

        Raises:
            _BrokenError: the server went away while it had a row, or hangs.
            ProviderAPIError: it refuses a row for a reason that is not the row's.
        """
        flying: set[asyncio.Task[bytes]] = set()
        failed: BaseException | None = None
        heard = time.monotonic()
        try:
            while not watch.should_end():
                while failed is None and len(flying) < limit and (line := next(rows, None)) is not None:
                    if problem := check(line):
                        journal.add(refuse(line, INVALID, problem))
                        watch.completed += 1
                    else:
                        flying.add(asyncio.create_task(_ask(http, line)))
                if not flying:
                    break
                done, flying = await asyncio.wait(flying, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    error = task.exception()
                    if error is None:
                        journal.add(task.result())
                        watch.completed += 1
                    elif failed is None or isinstance(error, _BrokenError):
                        failed = error
                journal.sync()
                if done:
                    heard = time.monotonic()
                elif time.monotonic() - heard > _SILENCE:
                    self._server.end()
                    raise _BrokenError
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
        if failed is not None:
            raise failed


async def _ask(http: httpx2.AsyncClient, line: bytes) -> bytes:
    """Send a row; its answer as `run-batch` would write it.

    Raises:
        _BrokenError: there was none.
        ProviderAPIError: the server refuses the key, or all rows for now.
    """
    row = _decode(line)
    for pause in (*_PAUSES, None):
        try:
            answer = await http.post(row.url, json=row.body)
        except httpx2.TransportError as error:
            raise _BrokenError from error
        if answer.status_code in (401, 403):
            raise CredentialsError(failures.NAME, answer.status_code, "the server refuses the key")
        if pause is None or answer.status_code not in _PASSING:
            break
        asked = read_retry_after(answer.headers) or 0
        if answer.status_code in _AWAY and asked > _LONGEST_PAUSE:
            break
        await asyncio.sleep(min(max(pause, asked), _LONGEST_PAUSE))
    if answer.status_code in _AWAY:
        kind = RateLimitedError if answer.status_code == 429 else ProviderUnavailableError
        message = f"the server takes no rows now (HTTP {answer.status_code})"
        raise kind(failures.NAME, answer.status_code, message, retry_after=read_retry_after(answer.headers))
    return _as_line(row.custom_id, answer)


def _as_line(row_id: str, answer: httpx2.Response) -> bytes:
    try:
        body, _ = decode_leniently(answer.content)
    except ValueError:
        body = None
    response = {"status_code": answer.status_code, "request_id": answer.headers.get("x-request-id"), "body": body}
    error = None
    if not answer.is_success or not isinstance(body, dict):
        response["body"] = None
        error = body if isinstance(body, dict) else {"error": {"message": answer.text[:200]}}
    return msgspec.json.encode({"id": "", "custom_id": row_id, "response": response, "error": error}) + b"\n"
