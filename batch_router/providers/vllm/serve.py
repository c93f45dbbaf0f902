"""The engine `vllm serve`: rows over HTTP, so many at a time, each answer into a journal as it comes.

A row that breaks the server down is found by sending those that were under way then again, fewer at a time: at last it
is alone, and gets an error.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice

from ...exceptions import ProviderAPIError, RequestRefusedError
from . import failures
from .ask import Asker, BrokenError
from .files import Files
from .journal import Journal
from .rows import BREAKDOWN, BREAKDOWN_WORDS, INVALID, MOST_ALONE, check, refuse
from .server import Server
from .watch import Watch

#: vLLM works on up to 256 sequences at a time by itself; a queue of as many again keeps it busy.
CONCURRENCY = 512
_FEWER = 8
_LOOK_EVERY = 0.5
# Seconds without an answer to any of the rows under way: then the server hangs.
_SILENCE = 3600.0


class Serve:
    """Answers the rows of a job by a server.

    Args:
        server: which one.
        concurrency: rows under way at a time.
    """

    def __init__(self, server: Server, *, concurrency: int = CONCURRENCY) -> None:
        self._server = server
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
            except BrokenError:
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
        """Send the next rows without an answer, at most `most`; ends early if the job is to end.

        Raises:
            BrokenError: the server went away while it had a row, or hangs.
            ProviderAPIError: it refuses a row for a reason that is not the row's.
        """
        watch.completed = len(files.answered())
        asker = Asker(url, self._server.key, connections=limit, trust_env=self._server.trust_env)
        with Journal(files.next_part()) as journal:
            async with asker:
                flight = _Flight(asker, islice(files.unanswered(), most), journal, watch)
                if await flight.hangs(limit):
                    self._server.end()
                    raise BrokenError
        if flight.failed is not None:
            raise flight.failed


class _Flight:
    """Rows under way.

    Attributes:
        failed: what went wrong; no further row is sent then, and those under way come to their end.
    """

    def __init__(self, asker: Asker, rows: Iterator[bytes], journal: Journal, watch: Watch) -> None:
        self._asker = asker
        self._rows = rows
        self._journal = journal
        self._watch = watch
        self._heard = time.monotonic()
        self.failed: BrokenError | ProviderAPIError | None = None

    async def hangs(self, limit: int) -> bool:
        """Send the rows, `limit` at a time, until there is none left or the job is to end; whether the server hangs."""
        senders = {asyncio.create_task(self._send()) for _ in range(limit)}
        try:
            while senders and not self._watch.should_end():
                done, senders = await asyncio.wait(senders, timeout=_LOOK_EVERY)
                for sender in done:
                    sender.result()  # the disk may be full
                self._journal.sync()
                if senders and time.monotonic() - self._heard > _SILENCE:
                    return True
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
        return False

    async def _send(self) -> None:
        """Send one row after the other."""
        while self.failed is None and (line := next(self._rows, None)) is not None:
            if problem := check(line):
                answer = refuse(line, INVALID, problem)
            else:
                try:
                    answer = await self._asker.ask(line)
                except (BrokenError, ProviderAPIError) as error:
                    self._fail(error)
                    return
            self._journal.add(answer)
            self._watch.completed += 1
            self._heard = time.monotonic()

    def _fail(self, error: BrokenError | ProviderAPIError) -> None:
        """A server that is gone says more than one that refused a row before."""
        if self.failed is None or isinstance(error, BrokenError):
            self.failed = error
