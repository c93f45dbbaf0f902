"""A provider whose service is a model: it keeps jobs and uploads by the test's clock, and its lists are up to date."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO

import msgspec

from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job, JobSpec, RefusedRow
from batch_router.exceptions import NotFoundError, RequestRefusedError
from batch_router.providers import Rows
from tests.road.fleet import Fleet
from tests.road.wire import NAME, Caller, Wire, read_rows

#: As many looks at a job, or at its answers, find nothing, where they come late.
LOOKS = 3


class End(StrEnum):
    """What becomes of a job."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    COUNTED = "answered, and it says how many rows were not"
    UNNAMED = "answered, and named some looks later"
    ABSENT = "answered, and there some looks later"
    NO_TOKENS = "no room for its tokens"
    REFUSED = "refused"
    REFUSED_ROW = "refused for one of its rows"


@dataclass
class ModelJob:
    """A job as the service has it.

    Attributes:
        paid: what the requests said that were answered.
        unanswered: rows that were not, if the job says so.
        unnamed, absent: how many looks pass until its answers are named, and until they are there.
    """

    id: str
    label: str
    rows: dict[str, str]
    created_at: float
    status: BatchStatus = BatchStatus.IN_PROGRESS
    cancel_asked: bool = False
    answers: list[bytes] = field(default_factory=list)
    paid: set[str] = field(default_factory=set)
    error: Failure | None = None
    refused: tuple[RefusedRow, ...] = ()
    unanswered: int | None = None
    unnamed: int = 0
    absent: int = 0

    def seen(self) -> Job:
        return Job(
            id=self.id,
            status=self.status,
            created_at=self.created_at,
            label=self.label,
            error=self.error,
            unanswered=self.unanswered,
            unnamed=self.unnamed > 0,
            refused=self.refused,
        )

    def end(
        self, how: End, silent: Collection[int] = (), busy: Collection[int] = (), again: Collection[int] = ()
    ) -> None:
        """End the job: by number, which rows get no answer, which get an error, and which are answered twice."""
        if how in (End.NO_TOKENS, End.REFUSED, End.REFUSED_ROW):
            passing = how is End.NO_TOKENS
            self.status = BatchStatus.FAILED
            self.refused = (RefusedRow(row=0, message="no"),) if how is End.REFUSED_ROW else ()
            self.error = Failure(type="token_limit_exceeded" if passing else "bad", message=how, retryable=passing)
            return
        for number, (row_id, say) in enumerate(self.rows.items()):
            if number in silent:
                continue
            if number in busy:
                self.answers.append(msgspec.json.encode({"id": row_id, "error": "busy"}))
                continue
            self.paid.add(say)
            answer = msgspec.json.encode({"id": row_id, "said": say})
            self.answers += [answer] * (2 if number in again else 1)
        self.answers.reverse()  # no order is promised
        self.unnamed, self.absent = LOOKS * (how is End.UNNAMED), LOOKS * (how is End.ABSENT)
        self.unanswered = len(silent) if how is End.COUNTED else None
        self.status = BatchStatus.EXPIRED if how is End.EXPIRED else BatchStatus.COMPLETED
        if self.cancel_asked and silent:
            self.status = BatchStatus.CANCELLED


class Service(Wire):
    """The other side of the wire. Attributes: `calm`, from here on jobs end by themselves."""

    def __init__(self, fleet: Fleet, *, takes_files: bool) -> None:
        super().__init__(fleet, takes_files=takes_files)
        self.jobs: dict[str, ModelJob] = {}
        self.uploads: dict[str, tuple[str, dict[str, str]]] = {}
        self.calm = False

    def upload(self, label: str, rows: dict[str, str]) -> str:
        name = self.name("file")
        self.uploads[name] = (label, rows)
        return name

    def create(self, label: str, upload: str | None, rows: dict[str, str]) -> ModelJob:
        if self.takes_files:
            if upload not in self.uploads:
                raise RequestRefusedError(NAME, 400, "no such file")
            rows = self.uploads[upload][1]
        job = ModelJob(self.name("job"), label, rows, created_at=self.fleet.clock.now)
        self.jobs[job.id] = job
        return job

    def newest_first(self) -> list[ModelJob]:
        return [*self.jobs.values()][::-1]

    def of_label(self, label: str) -> list[ModelJob]:
        """The newest first."""
        return [job for job in self.newest_first() if job.label == label]

    def get(self, job_id: str) -> ModelJob:
        job = self.jobs[job_id]
        if self.calm and not job.status.is_final:
            job.end(End.ANSWERED, silent=range(1, len(job.rows)) if job.cancel_asked else ())
        job.unnamed -= job.unnamed > 0
        return job

    def download(self, job_id: str) -> list[bytes]:
        job = self.jobs[job_id]
        if job.absent:
            job.absent -= 1
            raise NotFoundError(NAME, 404, "no such file")
        return list(job.answers)

    def cancel(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.cancel_asked = job.cancel_asked or not job.status.is_final


class ModelClient(Caller):
    """See `Client`."""

    never_refused = ("get", "cancel", "download")  # what cannot be fetched has no results, by design

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._service = service

    def upload(self, rows: Rows, spec: JobSpec) -> str | None:
        if not self._service.takes_files:
            return None
        content = read_rows(rows)
        return self.call("upload", spec.label, lambda: self._service.upload(spec.label, content))

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        content = read_rows(rows)
        service = self._service
        # Where the rows go with the job, nothing can stop a request that a paused process sends when it wakes.
        made = self.call(
            "create",
            spec.label,
            lambda: service.create(spec.label, spec.upload, content),
            pausable=service.takes_files,
        )
        return made.seen()

    def get(self, job_id: str) -> Job:
        return self.call("get", "", lambda: self._service.get(job_id).seen())

    def list(self, age: float) -> Iterator[Job]:
        since = self._service.fleet.clock.now - age
        listed = self.call("list", "", lambda: [job.seen() for job in self._service.newest_first()])
        return (job for job in listed if job.created_at >= since)

    def cancel(self, job_id: str) -> None:
        self.call("cancel", "", lambda: self._service.cancel(job_id))

    def download(self, job: Job, into: BinaryIO) -> None:
        for line in self.call("download", "", lambda: self._service.download(job.id)):
            into.write(line + b"\n")

    def find_uploads(self, spec: JobSpec, age: float) -> Sequence[str]:
        uploads = self.call("find_uploads", "", self._service.uploads.copy)
        return [name for name, (label, _) in uploads.items() if label == spec.label]

    def delete_upload(self, upload: str) -> None:
        self.call("delete_upload", "", lambda: self._service.uploads.pop(upload, None))

    def delete(self, job: Job) -> None:
        self.call("delete", "", lambda: None)
