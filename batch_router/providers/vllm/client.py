"""vLLM as a provider's API: a job is what an engine does in here, and its answers are a file beside the rows.

The job is named after its rows; `Files` says what else lies beside them.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from ...core import BatchStatus
from ...core.jobs import Job, JobSpec
from ...exceptions import FileOperationError, NotFoundError
from ..access import Access
from ..base import Loaded, Rows
from . import engine, failures
from .engines import Engines
from .errors import NoSpaceError
from .files import Files
from .watch import Watch

NAME = failures.NAME


@contextmanager
def _translated() -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        if error.errno == errno.ENOSPC:
            raise NoSpaceError(NAME, 0, f"the disk is full{where}: make room") from error
        raise FileOperationError(f"the engine's files cannot be written{where}: {error.strerror}") from error


class VLLMClient:
    """See `LocalClient`.

    Args:
        engines: how to answer the rows of a job.
    """

    def __init__(self, engines: Engines) -> None:
        # Engines in this process belong to no account: nobody else sees their jobs, and none can ask to be left alone.
        self.access = Access(NAME, engines.setup.base_url, engines.setup.key if engines.setup.base_url else None)
        self._engines = engines
        self._running: dict[str, Watch] = {}

    def upload(self, rows: Rows, spec: JobSpec) -> str:  # noqa: ARG002 - it is named after the rows
        """Nothing travels: the rows are read where they lie."""
        return str(rows.file().absolute())

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        """Have an engine answer the rows that have no answer yet; returns when all have one, or it was cancelled.

        Raises:
            JobInterruptedError: `interrupt` was called; what was answered is kept.
            FileOperationError: the folder of the rows cannot be written.
        """
        files = Files(rows.file().absolute())
        watch = self._running[str(files.rows)] = Watch(files.cancel)
        try:
            with _translated(), files.held():
                if not files.out.exists():
                    watch.completed = len(files.answered())
                    if not watch.should_end():
                        self._engines.answer(spec, files, watch)
                    if watch.should_end():
                        watch.end()
                    files.finish()
        finally:
            del self._running[str(files.rows)]
        return self.get(str(files.rows))

    def keep_answers(self, job_id: str) -> Job:
        """Make a job of the rows that have an answer."""
        files = Files(Path(job_id))
        with _translated(), files.held():
            if not files.out.exists():
                files.keep()
                files.finish()
        return self.get(job_id)

    def find(self, spec: JobSpec) -> Job | None:
        """The job, if its run came to its end; what is left of one that did not is ended."""
        files = Files(Path(str(spec.upload)))
        engine.end_leftover(files.record)
        return self.get(str(files.rows)) if files.out.exists() else None

    def get(self, job_id: str) -> Job:
        """The job of these rows: as it runs in this process, or when it is over."""
        files = Files(Path(job_id))
        if (watch := self._running.get(job_id)) is not None:
            return Job(id=job_id, status=BatchStatus.IN_PROGRESS, created_at=0, completed=watch.completed)
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
        files = Files(Path(job_id))
        if not files.out.exists():
            files.cancel.touch()

    def interrupt(self, job_id: str) -> None:
        """Have the run end, and `create` with it; another one goes on with the rows that are left."""
        if (watch := self._running.get(job_id)) is not None:
            watch.interrupt()

    def download(self, job: Job, into: BinaryIO) -> None:
        """Copy the answers."""
        with Files(Path(job.id)).out.open("rb") as answers:
            copyfileobj(answers, into, 1 << 18)

    def find_uploads(self, spec: JobSpec) -> tuple[str, ...]:  # noqa: ARG002
        """None: nothing was uploaded."""
        return ()

    def delete_upload(self, upload: str) -> None:
        """Nothing was uploaded."""

    def delete(self, job: Job) -> None:
        """Delete the answers, and whatever else the run left beside the rows."""
        Files(Path(job.id)).delete()

    def loaded(self) -> Loaded | None:
        """The model of the server that runs."""
        return self._engines.loaded

    def close(self) -> None:
        """End the server that is still there."""
        self._engines.close()
