"""The engine `vllm run-batch`: a run per chunk of rows, whose answers are checked and renamed into place.

If a run breaks down, the next one has half of the rows that are suspected, until the one that breaks the engine down is
alone, and gets an error (`suspects.py`).
"""

import asyncio
import os
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from ...core.jobs import EngineOption
from ...exceptions import ProviderUnavailableError, RequestRefusedError
from ...security.files import open_regular
from .control import JobControl
from .errors import NAME
from .files import JobFiles
from .preparing import LARGEST_AT_A_TIME, Preparer, Rules
from .process import group, log
from .process.folder import EngineFolder
from .process.leftovers import end_leftover
from .rows import BREAKDOWN, BREAKDOWN_MESSAGE, INVALID, RowError, refuse, row_id_of
from .suspects import Suspects, Verdict

#: Rows per run. Each run loads the model, and holds its whole input in memory.
CHUNK_ROWS = 500
# How many times fewer of the suspects are in the next run.
_DIVISOR = 2
# Of the rows of a run, which holds them in memory.
_CHUNK_BYTES = 256 << 20
# The engine has loaded its model when it writes this.
_BEGUN = "Running batch"
_PROGRESS = re.compile(rb"(\d+)/\d+ \[")
# Bytes at the end of the log that have its latest progress.
_PROGRESS_TAIL = 1 << 12


class RunBatchEngine:
    """Answers the rows of a job by runs of `vllm run-batch`.

    Args:
        command: `vllm run-batch` with the model and its options.
        options: its options, some of which may be secret.
        folder: of the engines.
        rules: for the rows.
        chunk_rows: rows per run.
    """

    def __init__(
        self,
        command: list[str],
        options: Mapping[str, EngineOption],
        folder: EngineFolder,
        rules: Rules,
        *,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._command = command
        self._options = options
        self._folder = folder
        self._rules = rules
        self._chunk_rows = chunk_rows

    def answer(self, files: JobFiles, control: JobControl) -> None:
        """Answer all rows that have no answer yet, or fewer if the job must end.

        Raises:
            ProviderAPIError: the engine does not work; what it answered is kept.
        """
        end_leftover(files.record)
        files.keep_answers()
        suspects = Suspects()
        while rows := self._select(files, suspects.rows_at_a_time(self._chunk_rows, divisor=_DIVISOR)):
            control.completed = before = len(files.answered())
            code = self._run(files, control, before)
            answered = files.keep_answers()
            control.completed = before + answered
            if code is None:
                return
            if answered == len(rows):
                suspects = suspects.after_answers(answered)
            else:
                suspects = self._explain(files, code, rows, answered, suspects)

    def _run(self, files: JobFiles, control: JobControl, before: int) -> int | None:
        def should_end() -> bool:
            control.completed = before + _answered_so_far(files.log)
            return control.should_end()

        command = [*self._command, "-i", str(files.run), "-o", str(files.run_out)]
        folder = self._folder.working_folder()
        return group.run(command, folder=folder, record=files.record, log=files.log, should_end=should_end)

    def _select(self, files: JobFiles, limit: int) -> list[str]:
        return asyncio.run(_write_run(files, limit, Preparer(self._rules)))

    def _explain(self, files: JobFiles, code: int, rows: list[str], answered: int, suspects: Suspects) -> Suspects:
        """What follows from a run that ended before it answered all of its rows.

        Raises:
            ProviderAPIError: no row is to blame.
        """
        if group.was_ended_from_outside(code):
            raise ProviderUnavailableError(NAME, 0, "the engine was ended from outside")
        last_words = log.last_words(files.log, self._options, os.environ)
        bad_line = log.bad_line(last_words)
        if bad_line:
            files.add_part([refuse(rows[bad_line - 1], INVALID, "vLLM cannot read the row")])
            return suspects
        if code and bad_line is None and _BEGUN not in last_words:
            raise log.error_of(code, last_words)
        held = len(rows) - answered
        after, verdict = suspects.after_breakdown(at_a_time=len(rows), answered=answered, held=held)
        if verdict is Verdict.ENGINE:
            error = log.error_of(code, last_words)
            raise RequestRefusedError(NAME, 0, f"the engine breaks down on every row: {error.message}")
        if verdict is Verdict.ROW:
            files.add_part([refuse(rows[0], BREAKDOWN, BREAKDOWN_MESSAGE)])
        return after


async def _write_run(files: JobFiles, limit: int, preparer: Preparer) -> list[str]:
    """Write the next rows without an answer for a run; those that no engine gets have their error here.

    Returns:
        The ids of the rows of the run.
    """
    chosen: list[str] = []
    refused: list[bytes] = []
    unanswered = files.unanswered()
    with open(files.run, "wb", opener=open_regular) as run:
        async with preparer:
            while (left := limit - len(chosen)) and run.tell() < _CHUNK_BYTES:
                lines = list(islice(unanswered, min(left, LARGEST_AT_A_TIME)))
                if not lines:
                    break
                for row_id, line, error in await asyncio.gather(*(_prepare(preparer, line) for line in lines)):
                    if error is not None:
                        refused.append(refuse(row_id, error.status, str(error)))
                        continue
                    run.write(line)
                    chosen.append(row_id)
    if refused:
        files.add_part(refused)
    return chosen


async def _prepare(preparer: Preparer, line: bytes) -> tuple[str, bytes, RowError | None]:
    row_id = row_id_of(line)
    try:
        async with preparer.prepared(line) as row:
            return row_id, row.line(), None
    except RowError as error:
        return row_id, b"", error


def _answered_so_far(log_file: Path) -> int:
    """How many rows the engine has answered, by its progress bar in the log."""
    with open(log_file, "rb", opener=open_regular) as stream:
        stream.seek(max(0, log_file.stat().st_size - _PROGRESS_TAIL))
        counts = _PROGRESS.findall(stream.read())
    return int(counts[-1]) if counts else 0
