"""The engine `vllm serve`: rows over HTTP, several hundred at a time, each answer into a journal as it arrives.

If the server breaks down, the rows that it held are sent again, fewer at a time, until the one that breaks it down is
alone, and gets an error (`suspects.py`).
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice

from ....exceptions import ProviderAPIError, RequestRefusedError
from ..control import JobControl
from ..errors import NAME
from ..files import JobFiles
from ..preparing import Preparer, Rules
from ..rows import BREAKDOWN, BREAKDOWN_MESSAGE, RowError, refuse, row_id_of
from ..suspects import Suspects, Verdict
from .asker import Asker, ServerGoneError
from .journal import Journal
from .server import Server

#: vLLM works on up to 256 sequences at a time by itself; a queue of as many again keeps it busy.
CONCURRENCY = 512
# How many times fewer of the suspects are sent at a time.
_DIVISOR = 8
_LOOK_EVERY = 0.5
# Seconds without an answer to any of the rows at the server: then it hangs.
_LONGEST_SILENCE = 3600.0


class ServeEngine:
    """Answers the rows of a job by a server.

    Args:
        server: which one.
        rules: for the rows.
        concurrency: rows at the server at a time.
    """

    def __init__(self, server: Server, rules: Rules, *, concurrency: int = CONCURRENCY) -> None:
        self._server = server
        self._rules = rules
        self._concurrency = concurrency

    def answer(self, files: JobFiles, control: JobControl) -> None:
        """Answer all rows that have no answer yet, or fewer if the job must end.

        Raises:
            ProviderAPIError: the server does not work, or refuses us; what it answered is kept.
        """
        files.keep_answers()
        suspects: Suspects | None = Suspects()
        while suspects is not None and next(files.unanswered(), None) is not None:
            url = self._server.wait_until_ready(control)
            if url is not None:
                suspects = self._send(files, control, url, suspects)
            if control.should_end():
                self._server.stop()
                return

    def _send(self, files: JobFiles, control: JobControl, url: str, suspects: Suspects) -> Suspects | None:
        """Send the rows without an answer, or only the suspects among them; None: all were sent and answered."""
        at_a_time = suspects.rows_at_a_time(self._concurrency, divisor=_DIVISOR)
        control.completed = len(files.answered())
        asker = Asker(
            url,
            self._server.key,
            connections=at_a_time,
            trust_env=self._server.trust_env,
            bounds=self._rules.bounds,
        )
        with Journal(files.next_part()) as journal:
            rows = islice(files.unanswered(), suspects.rows or None)
            sender = RowSender(asker, Preparer(self._rules), rows, journal, control)
            asyncio.run(sender.send(at_a_time))
        if sender.failure is None:
            return suspects.after_answers(sender.answered) if suspects.rows else None
        if sender.hangs:
            self._server.stop()
        if not isinstance(sender.failure, ServerGoneError):
            raise sender.failure
        if (error := self._server.explain_breakdown()) is not None:
            raise error from sender.failure
        after, verdict = suspects.after_breakdown(at_a_time=at_a_time, answered=sender.answered, held=sender.held)
        if verdict is Verdict.ENGINE:
            raise RequestRefusedError(NAME, 0, "the engine breaks down on every row") from sender.failure
        if verdict is Verdict.ROW:
            files.add_part([refuse(row_id_of(next(files.unanswered())), BREAKDOWN, BREAKDOWN_MESSAGE)])
        return after


class RowSender:
    """Sends rows, several at a time.

    Attributes:
        held: rows that the server has and has not answered yet.
        answered: rows that the server has answered.
        failure: what went wrong. No further row is sent then, and the rows at the server come to their end.
        hangs: whether the server has not answered anything for too long.
    """

    def __init__(
        self, asker: Asker, preparer: Preparer, rows: Iterator[bytes], journal: Journal, control: JobControl
    ) -> None:
        self._asker = asker
        self._preparer = preparer
        self._rows = rows
        self._journal = journal
        self._control = control
        self._last_answer_at = time.monotonic()
        self.held = self.answered = 0
        self.failure: ServerGoneError | ProviderAPIError | None = None
        self.hangs = False

    async def send(self, at_a_time: int) -> None:
        """Send the rows until none is left, one fails, the server hangs, or the job must end."""
        async with self._asker, self._preparer:
            tasks = {asyncio.create_task(self._send_one_by_one()) for _ in range(at_a_time)}
            try:
                while tasks and not self._control.should_end() and not self.hangs:
                    done, tasks = await asyncio.wait(tasks, timeout=_LOOK_EVERY)
                    for task in done:
                        task.result()  # the disk may be full
                    self._journal.sync()
                    self._look_for_a_hang()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _look_for_a_hang(self) -> None:
        if self.held and time.monotonic() - self._last_answer_at > _LONGEST_SILENCE:
            self.hangs, self.failure = True, ServerGoneError()

    async def _send_one_by_one(self) -> None:
        while self.failure is None and (line := next(self._rows, None)) is not None:
            try:
                answer = await self._answer(line)
            except (ServerGoneError, ProviderAPIError) as error:
                self._fail(error)
                return
            self._journal.add(answer)
            self._control.completed += 1
            self._last_answer_at = time.monotonic()

    async def _answer(self, line: bytes) -> bytes:
        try:
            async with self._preparer.prepared(line) as row:
                self.held += 1
                answer = await self._asker.ask(row)
                self.held -= 1
                self.answered += 1
                return answer
        except RowError as error:
            return refuse(row_id_of(line), error.status, str(error))

    def _fail(self, error: ServerGoneError | ProviderAPIError) -> None:
        """Note a failure; that the server is gone matters more than an earlier refusal."""
        if self.failure is None or isinstance(error, ServerGoneError):
            self.failure = error
