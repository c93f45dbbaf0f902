"""vLLM as a provider's API: an engine in this process runs the job, and its answers are a file beside the rows.

The id of a job is the storage name of its rows; `files.py` lists the other files beside them.
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
from ...security.files import open_regular
from ..access import Access
from ..base import Loaded, Rows
from .control import JobControl
from .engines import Engines
from .errors import NAME, NoSpaceError
from .files import JobFiles, find_files


@contextmanager
def _translated() -> Iterator[None]:
    """Raises the system's errors as ours."""
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
        home: the folder of the storage: rows are files below it.
    """

    def __init__(self, engines: Engines, home: Path) -> None:
        # Engines in this process belong to no account: no other client sees their jobs, and none limits our requests.
        self.access = Access(NAME, engines.setup.base_url, engines.setup.key if engines.setup.base_url else None)
        self._engines = engines
        self._home = home
        self._running: dict[str, JobControl] = {}

    def upload(self, rows: Rows, spec: JobSpec) -> str:  # noqa: ARG002 - it is named after the rows
        """Send nothing: the engine reads the rows where they are; returns their name."""
        return rows.name

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        """Have an engine answer the rows that have no answer yet; returns when all have one, or it was cancelled.

        Raises:
            JobInterruptedError: `interrupt` was called; what was answered is kept.
            FileOperationError: the folder of the rows cannot be written.
        """
        files = self._files(rows.name)
        control = self._running[rows.name] = JobControl(files.cancel)
        try:
            with _translated(), files.locked():
                if not files.out.exists():
                    control.completed = len(files.answered())
                    if not control.should_end():
                        self._engines.answer(spec, files, control)
                    control.raise_if_interrupted()
                    files.finish()
        finally:
            del self._running[rows.name]
        return self.get(rows.name)

    def keep_answers(self, job_id: str) -> Job:
        """Make a job of the rows that have an answer."""
        files = self._files(job_id)
        with _translated(), files.locked():
            if not files.out.exists():
                files.keep_answers()
                files.finish()
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """The job of these rows, while it runs in this process or when it is over."""
        files = self._files(job_id)
        if (control := self._running.get(job_id)) is not None:
            return Job(id=job_id, status=BatchStatus.IN_PROGRESS, created_at=0, completed=control.completed)
        try:
            created_at = files.out.stat().st_mtime
        except OSError as error:
            raise NotFoundError(NAME, 0, f"{files.out.name} does not exist") from error
        status = BatchStatus.CANCELLED if files.cancel.exists() else BatchStatus.COMPLETED
        return Job(id=job_id, status=status, created_at=created_at, outputs=(f"{job_id}{files.END_OF_ANSWERS}",))

    def list(self, age: float) -> Iterator[Job]:  # noqa: ARG002
        """None: a run is known only by its files."""
        return iter(())

    def cancel(self, job_id: str) -> None:
        """Make the run end; its answers are kept. A job that is over stays as it is."""
        files = self._files(job_id)
        if not files.out.exists():
            files.cancel.touch(mode=0o600)

    def interrupt(self, job_id: str) -> None:
        """Make the run end, and `create` with it; another worker continues with the rows that are left."""
        if (control := self._running.get(job_id)) is not None:
            control.interrupt()

    def download(self, job: Job, into: BinaryIO) -> None:
        """Copy the answers."""
        with open(self._files(job.id).out, "rb", opener=open_regular) as answers:
            copyfileobj(answers, into, 1 << 18)

    def find_uploads(self, spec: JobSpec, age: float) -> tuple[str, ...]:  # noqa: ARG002
        """None: rows are not uploaded."""
        return ()

    def delete_upload(self, upload: str) -> None:
        """Nothing to do: rows are not uploaded."""

    def delete(self, job: Job) -> None:
        """Delete the answers, and what else the run left beside the rows."""
        self._files(job.id).delete()

    def loaded(self) -> Loaded | None:
        """The model of the server, while it runs."""
        return self._engines.loaded

    def close(self) -> None:
        """Stop the server, if one is loaded."""
        self._engines.close()

    def _files(self, job_id: str) -> JobFiles:
        """The files of a job. The one place that makes a path of an id, which comes from the store.

        Raises:
            NotFoundError: no job can have this id.
        """
        try:
            return find_files(self._home, job_id)
        except FileOperationError as error:
            raise NotFoundError(NAME, 0, f"this is not the id of a job of vLLM: {error}") from error
