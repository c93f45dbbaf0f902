"""The engine `vllm run-batch`: one run per chunk of rows, each chunk's answers checked and renamed into place.

After a run that breaks down the next one has half of its rows, and so on within what is left to suspect, until the row
that the engine breaks down on is alone and gets an error.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...exceptions import ProviderUnavailableError, RequestRefusedError
from . import engine, failures
from .files import Files
from .rows import BREAKDOWN, BREAKDOWN_WORDS, INVALID, MOST_ALONE, check, refuse
from .watch import Watch

# Each run loads the model anew, and holds its whole input in memory.
CHUNK_ROWS = 500
# The engine has loaded its model by then.
_BEGUN = "Running batch"
_PROGRESS = re.compile(rb"(\d+)/\d+ \[")
_SAID_LATELY = 1 << 12


class RunBatch:
    """Answers the rows of a job by runs of their own.

    Args:
        command: `vllm run-batch` with the model and its options.
        options: those of its options that may be secret.
        chunk_rows: rows per run.
    """

    def __init__(self, command: list[str], options: Mapping[str, Any], *, chunk_rows: int = CHUNK_ROWS) -> None:
        self._command = command
        self._options = options
        self._chunk_rows = chunk_rows

    def answer(self, files: Files, watch: Watch) -> None:
        """Answer all rows that have no answer yet; fewer, if the job is to end.

        Raises:
            ProviderAPIError: the engine does not work; what it answered is kept.
        """
        engine.end_leftover(files.record)
        files.keep()
        # So many of the next rows without an answer have one among them that the engine breaks down on.
        suspects = alone = 0
        while rows := _select(files, max(1, suspects // 2) if suspects else self._chunk_rows):
            watch.completed = done = len(files.answered())
            code = self._run(files, watch, done)
            kept = files.keep()
            watch.completed = done + kept
            if code is None:
                return
            if kept == len(rows):
                suspects, alone = max(0, suspects - kept), 0
                continue
            if engine.was_ended_from_outside(code):
                raise ProviderUnavailableError(failures.NAME, 0, "the engine was ended from outside")
            words = failures.last_words(files.log, self._options, os.environ)
            bad = failures.bad_line(words)
            if bad:
                files.add([refuse(rows[bad - 1], INVALID, "vLLM cannot read the row")])
            elif code and bad is None and _BEGUN not in words:
                raise failures.error_of(code, words)
            elif len(rows) > 1:
                suspects = len(rows) - kept
            else:
                suspects, alone = 1, alone + 1
                if alone == MOST_ALONE:
                    error = failures.error_of(code, words)
                    raise RequestRefusedError(failures.NAME, 0, f"the engine breaks down on every row: {error.message}")
                files.add([refuse(rows[0], BREAKDOWN, BREAKDOWN_WORDS)])

    def _run(self, files: Files, watch: Watch, done: int) -> int | None:
        def should_end() -> bool:
            watch.completed = done + _answered_so_far(files.log)
            return watch.should_end()

        command = [*self._command, "-i", str(files.run), "-o", str(files.run_out)]
        return engine.run(command, record=files.record, log=files.log, should_end=should_end)


def _select(files: Files, limit: int) -> list[bytes]:
    """Write the next rows without an answer for a run; those that vLLM would give up on get their errors here."""
    chosen: list[bytes] = []
    refused: list[bytes] = []
    for line in files.unanswered():
        if len(chosen) == limit:
            break
        if problem := check(line):
            refused.append(refuse(line, INVALID, problem))
        else:
            chosen.append(line)
    if refused:
        files.add(refused)
    files.run.write_bytes(b"".join(chosen))
    return chosen


def _answered_so_far(log: Path) -> int:
    """How many rows the engine says that it has answered."""
    with log.open("rb") as said:
        said.seek(max(0, log.stat().st_size - _SAID_LATELY))
        counts = _PROGRESS.findall(said.read())
    return int(counts[-1]) if counts else 0
