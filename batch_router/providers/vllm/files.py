"""The files of one job, beside the rows of its shard, for as long as it is not done.

    <rows>.part-00000.jsonl    answers: a checked chunk renamed into place, or a journal; its last line may be torn
    <rows>.run.jsonl           the rows of the chunk under way
    <rows>.run-out.jsonl       what the engine has answered of it
    <rows>.engine.json         the engine's process group
    <rows>.engine.log          what it said
    <rows>.cancel              somebody wants it to end

Once it is done there is `<rows>.out.jsonl`: all answers, renamed into place.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...exceptions import JobInterruptedError
from ...jsonl import read_lines
from . import engine
from .codec import read_row_id

# Seconds until files that somebody else has are looked at again: an engine ends in ten.
_LOOK_AGAIN = 5.0
_ENDS = (".out.jsonl", ".run.jsonl", ".run-out.jsonl", ".engine.json", ".engine.log", ".cancel")


class Files:
    """Where everything of a job lies.

    Args:
        rows: the rows of the shard, in vLLM's format.
    """

    def __init__(self, rows: Path) -> None:
        self.rows = rows
        self.out, self.run, self.run_out, self.record, self.log, self.cancel = map(self._beside, _ENDS)

    def _beside(self, end: str) -> Path:
        return self.rows.with_name(self.rows.name + end)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the files to oneself: who lost the shard in the middle of a run may not have noticed yet.

        Raises:
            JobInterruptedError: somebody else has them, who is ending or hangs.
        """
        with self.rows.open("r+b") as rows:
            try:
                fcntl.flock(rows, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = "another run over these rows has not ended yet"
                raise JobInterruptedError("vllm", 0, message, retry_after=_LOOK_AGAIN) from error
            yield

    def parts(self) -> list[Path]:
        """The parts so far, in the order in which they were made."""
        return sorted(self.rows.parent.glob(f"{self.rows.name}.part-*.jsonl"))

    def next_part(self) -> Path:
        """Where the next part goes."""
        return self._beside(f".part-{len(self.parts()):05d}.jsonl")

    def answered(self) -> set[str]:
        """The ids of the rows that have an answer."""
        return {row_id for part in self.parts() for row_id, _ in _answers(part)}

    def unanswered(self) -> Iterator[bytes]:
        """The rows without an answer, in their order."""
        answered = self.answered()
        with self.rows.open("rb") as rows:
            for line in read_lines(rows):
                if read_row_id(line) not in answered:
                    yield line

    def keep(self) -> int:
        """Make what a run has answered a part; how many rows that are. A line that was torn is not kept."""
        if not self.run_out.exists():
            return 0
        answers = [line for _, line in _answers(self.run_out)]
        if answers:
            self.add(answers)
        self.run_out.unlink()
        return len(answers)

    def add(self, answers: Iterable[bytes]) -> None:
        """Make a part of these answers, at once or not at all."""
        _write_whole(self.next_part(), answers)

    def finish(self) -> None:
        """Make the job: all answers under their final name, each row's first one, and the rest gone."""
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


def end_leftovers(folder: Path) -> None:
    """End the engines of jobs that nobody holds any more; the jobs go on where they stood."""
    end = _ENDS[3]
    for record in folder.glob(f"*/*{end}"):
        files = Files(record.with_name(record.name.removesuffix(end)))
        with suppress(JobInterruptedError, OSError), files.held():
            engine.end_leftover(record)


def _answers(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n") and (row_id := read_row_id(line)) is not None:
                yield row_id, line


def _write_whole(path: Path, lines: Iterable[bytes]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
