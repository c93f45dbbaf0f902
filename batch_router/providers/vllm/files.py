"""The files of one job, beside the rows of its shard, until the job is done.

    <rows>.part-00000.jsonl    answers: a checked chunk renamed into place, or a journal; its last line may be torn
    <rows>.run.jsonl           the rows of the current run
    <rows>.run-out.jsonl       the engine's answers to them so far
    <rows>.engine.json         the record of the engine's process group
    <rows>.engine.log          the engine's output
    <rows>.cancel              exists once the job is cancelled

A job that is done has `<rows>.out.jsonl`: all answers, renamed into place.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...exceptions import FileOperationError, JobInterruptedError
from ...security.files import open_regular
from ...security.paths import FOLDERS, path_below
from .codec import read_row_id
from .errors import NAME
from .process.leftovers import end_leftover

# Seconds until the next try for files that another run has: an engine ends within ten.
_RETRY_AFTER = 5.0
# Below it a folder for each batch, and in that one for each shard.
_FOLDER = Path(FOLDERS) / NAME
_ENDS = (".out.jsonl", ".run.jsonl", ".run-out.jsonl", ".engine.json", ".engine.log", ".cancel")


class JobFiles:
    """The files of one job.

    Args:
        rows: the rows of the shard, in vLLM's format.
    """

    #: What the answers' name ends with, after that of the rows.
    END_OF_ANSWERS = _ENDS[0]

    def __init__(self, rows: Path) -> None:
        self.rows = rows
        self.out, self.run, self.run_out, self.record, self.log, self.cancel = map(self._beside, _ENDS)

    def _beside(self, end: str) -> Path:
        return self.rows.with_name(self.rows.name + end)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the files against other runs: a worker that lost the shard during its run may not know that yet.

        Raises:
            JobInterruptedError: another run has them, and is about to end, or hangs.
        """
        with open(self.rows, "r+b", opener=open_regular) as rows:
            try:
                fcntl.flock(rows, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = "another run over these rows has not ended yet"
                raise JobInterruptedError(NAME, 0, message, retry_after=_RETRY_AFTER) from error
            yield

    def parts(self) -> list[Path]:
        """The parts so far, oldest first."""
        return sorted(self.rows.parent.glob(f"{self.rows.name}.part-*.jsonl"))

    def next_part(self) -> Path:
        """The path of the next part."""
        return self._beside(f".part-{len(self.parts()):05d}.jsonl")

    def answered(self) -> set[str]:
        """The ids of the rows that have an answer."""
        return {row_id for part in self.parts() for row_id, _ in _answers(part)}

    def unanswered(self) -> Iterator[bytes]:
        """The rows without an answer, in their order."""
        answered = self.answered()
        with open(self.rows, "rb", opener=open_regular) as rows:
            for line in rows:
                if read_row_id(line) not in answered:
                    yield line

    def keep_answers(self) -> int:
        """Make a part of the answers of the last run, but a torn line; returns how many rows have one."""
        if not self.run_out.exists():
            return 0
        answers = [line for _, line in _answers(self.run_out)]
        if answers:
            self.add_part(answers)
        self.run_out.unlink()
        return len(answers)

    def add_part(self, answers: Iterable[bytes]) -> None:
        """Make a part of these answers: all of them or, after a crash, none."""
        _write_whole(self.next_part(), answers)

    def finish(self) -> None:
        """Write all answers under their final name, of each row the first, and delete the other files."""
        seen: set[str] = set()

        def first_answers() -> Iterator[bytes]:
            for part in self.parts():
                for row_id, line in _answers(part):
                    if row_id not in seen:
                        seen.add(row_id)
                        yield line

        _write_whole(self.out, first_answers())
        for path in (*self.parts(), self.run, self.log):
            path.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete all but the rows."""
        for path in (*self.parts(), *map(self._beside, _ENDS)):
            path.unlink(missing_ok=True)


def find_files(home: Path, job_id: str) -> JobFiles:
    """The files of a job.

    Args:
        home: the folder of the storage.
        job_id: the storage name of the job's rows, as the store has it.

    Raises:
        FileOperationError: it is not the name of rows for vLLM; nothing was touched.
    """
    rows = path_below(home, job_id)
    if rows.parents[2] != home / _FOLDER:
        raise FileOperationError(f"{job_id!r} is not in a shard's folder below {_FOLDER}/; nothing was touched")
    return JobFiles(rows)


def end_leftover_jobs(home: Path) -> None:
    """End the engines of jobs that no process has locked any more; the jobs continue where they stopped."""
    end = _ENDS[3]
    for record in (home / _FOLDER).glob(f"*/*/*{end}"):
        files = JobFiles(record.with_name(record.name.removesuffix(end)))
        with suppress(JobInterruptedError, OSError), files.locked():
            end_leftover(record)


def _answers(path: Path) -> Iterator[tuple[str, bytes]]:
    with open(path, "rb", opener=open_regular) as lines:
        for line in lines:
            if line.endswith(b"\n") and (row_id := read_row_id(line)) is not None:
                yield row_id, line


def _write_whole(path: Path, lines: Iterable[bytes]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with open(temporary, "wb", opener=open_regular) as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
