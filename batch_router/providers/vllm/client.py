"""`vllm run-batch` as a provider's API: a job is a run, and its answers are a file beside the rows.

Beside the rows of a shard lie, for as long as its job is not done:

    <rows>.run.jsonl        the rows of the run under way: those that no earlier run answered
    <rows>.run-out.jsonl    what it has answered
    <rows>.kept.jsonl       what earlier runs had answered when they ended
    <rows>.engine.json      its process group
    <rows>.engine.log       what it said
    <rows>.cancel           somebody wants it to end

and once it is done `<rows>.out.jsonl`: all answers, renamed into place. The job is named after its rows.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO

import msgspec

from ...core import BatchStatus
from ...core.jobs import Job, JobSpec
from ...exceptions import NotFoundError, ProviderUnavailableError, RequestRefusedError
from ...jsonl import read_lines
from . import codec, engine

NAME = "vllm"
_QUOTED = 500  # characters of an engine's last words that an error shows
_SEARCHED = 1 << 16  # bytes of them that are looked through: a row that it quotes may be long
# How vLLM gives up on a row that it cannot read: the first since 0.33, the second before.
_INVALID = re.compile(r"Invalid request on line \d+|validation errors? for BatchRequestInput")
# Its validation errors quote the row.
_ROW = re.compile(r"input_value=.*?(, input_type=|$)", re.DOTALL)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|_URL$")
_SHORTEST_SECRET = 6


class VLLMClient:
    """See `Client`.

    Args:
        command: how vLLM is started: `["vllm"]`.
        model_path: where the model is, if the jobs' `model` is only its name.
        options: more options of `run-batch`, without their dashes; True: a flag.
    """

    def __init__(self, command: list[str], *, model_path: str | None, options: Mapping[str, Any]) -> None:
        self._command = command
        self._model_path = model_path
        self._options = options

    def upload(self, path: Path, spec: JobSpec) -> str:  # noqa: ARG002 - it is named after the rows
        """Nothing travels: the rows are read where they lie."""
        return str(path.absolute())

    def create(self, path: Path, spec: JobSpec) -> Job:
        """Run the engine over the rows that have no answer yet; returns when all have one, or it was cancelled."""
        files = _Files(path.absolute())
        with files.held():
            if not files.out.exists():
                files.recover()
                if files.select() and not files.cancel.exists():
                    self._run(files, spec)
                files.finish()
        return self.get(str(files.rows))

    def find(self, spec: JobSpec) -> Job | None:
        """The job, if its run came to its end; what is left of one that did not is ended."""
        files = _Files(Path(str(spec.upload)))
        engine.end_leftover(files.record)
        return self.get(str(files.rows)) if files.out.exists() else None

    def get(self, job_id: str) -> Job:
        """The job of these rows: it is there when the run is over."""
        files = _Files(Path(job_id))
        try:
            created_at = files.out.stat().st_mtime
        except OSError as error:
            raise NotFoundError(NAME, 0, f"{files.out} is not there") from error
        status = BatchStatus.CANCELLED if files.cancel.exists() else BatchStatus.COMPLETED
        return Job(id=job_id, status=status, created_at=created_at, outputs=(str(files.out),))

    def list(self, limit: int) -> Iterator[Job]:  # noqa: ARG002
        """None: a run is known by its files alone."""
        return iter(())

    def cancel(self, job_id: str) -> None:
        """Have the run end; what it answered is kept. One that is over is left as it is."""
        files = _Files(Path(job_id))
        if not files.out.exists():
            files.cancel.touch()

    def download(self, job: Job, into: BinaryIO) -> None:
        """Copy the answers."""
        with _Files(Path(job.id)).out.open("rb") as answers:
            copyfileobj(answers, into, 1 << 18)

    def find_uploads(self, spec: JobSpec) -> tuple[str, ...]:  # noqa: ARG002
        """None: nothing was uploaded."""
        return ()

    def delete_upload(self, upload: str) -> None:
        """Nothing was uploaded."""

    def delete(self, job: Job) -> None:
        """Delete the answers, and whatever else the run left beside the rows."""
        _Files(Path(job.id)).delete()

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _run(self, files: "_Files", spec: JobSpec) -> None:
        command = [*self._command, "run-batch", "-i", str(files.run), "-o", str(files.run_out)]
        command += ["--model", self._model_path or spec.model]
        if self._model_path:
            command += ["--served-model-name", spec.model]
        for name, value in self._options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        try:
            code = engine.run(command, record=files.record, log=files.log, should_end=files.cancel.exists)
        except OSError as error:
            what = f"{self._command[0]} cannot be run: {error.strerror}"
            raise RequestRefusedError(
                NAME, 0, f"{what}; install vllm where the GPU workers run, or set BATCH_ROUTER_VLLM_COMMAND"
            ) from error
        if code:
            words = _ROW.sub(r"input_value=***\1", self._masked(files.last_words()))
            refused = _INVALID.search(words)
            text = refused[0] if refused else words[-_QUOTED:].strip()
            kind = RequestRefusedError if refused else ProviderUnavailableError
            raise kind(NAME, 0, f"the engine ended with exit code {code}: {text or 'it said nothing'}")

    def _masked(self, words: str) -> str:
        """The words without what the engine was given in confidence, by its environment and its options."""
        for name, value in [*os.environ.items(), *self._options.items()]:
            secret = str(value)
            if _SECRET.search(name.upper()) and len(secret) >= _SHORTEST_SECRET:
                words = words.replace(secret, "***")
        return words


class _Files:
    """The files of one job."""

    def __init__(self, rows: Path) -> None:
        self.rows = rows
        self.out, self.run, self.run_out, self.kept, self.record, self.log, self.cancel = (
            rows.with_name(rows.name + end)
            for end in (
                ".out.jsonl",
                ".run.jsonl",
                ".run-out.jsonl",
                ".kept.jsonl",
                ".engine.json",
                ".engine.log",
                ".cancel",
            )
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the files to oneself: who lost the shard in the middle of a run may not have noticed yet."""
        with self.rows.open("r+b") as rows:
            try:
                fcntl.flock(rows, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProviderUnavailableError(NAME, 0, "another run over these rows has not ended yet") from error
            yield

    def recover(self) -> None:
        """Keep what an earlier run had answered; a line that was torn is not kept, and its row runs again."""
        engine.end_leftover(self.record)
        self._keep()

    def _keep(self) -> None:
        if not self.run_out.exists():
            return
        with self.run_out.open("rb") as answers, self.kept.open("ab") as kept:
            for line in answers:
                if line.endswith(b"\n") and codec.read_row_id(line) is not None:
                    kept.write(line)
            kept.flush()
            os.fsync(kept.fileno())
        self.run_out.unlink()

    def select(self) -> bool:
        """Write the rows that have no answer yet for a run; False if there are none."""
        answered: set[str | None] = set()
        if self.kept.exists():
            with self.kept.open("rb") as kept:
                answered = {codec.read_row_id(line) for line in kept}
        left = False
        with self.rows.open("rb") as rows, self.run.open("wb") as run:
            for line in read_lines(rows):
                if _row_id(line) not in answered:
                    run.write(line)
                    left = True
        return left

    def finish(self) -> None:
        """Make the job: all answers under their final name, the rest gone."""
        self._keep()
        self.kept.touch()
        os.replace(self.kept, self.out)
        for path in (self.run, self.log):
            path.unlink(missing_ok=True)

    def last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _SEARCHED))
            return log.read().decode(errors="replace")

    def delete(self) -> None:
        for path in (self.out, self.run, self.run_out, self.kept, self.record, self.log, self.cancel):
            path.unlink(missing_ok=True)


class _RowId(msgspec.Struct):
    custom_id: str


_row = msgspec.json.Decoder(_RowId).decode


def _row_id(line: bytes) -> str:
    return _row(line).custom_id
