"""A provider whose service is behind, late and odd, and has its own clock; it counts by itself what is paid.

A job goes on by the service's clock, whether it is asked for or not: each of its rows is worked on, and paid, at a
known time. An answer shows how things were some seconds ago.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from typing import BinaryIO, NamedTuple

import msgspec

from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job, JobSpec
from batch_router.exceptions import NotFoundError, RequestRefusedError
from batch_router.providers import Rows
from tests.road.fleet import Fleet
from tests.road.wire import LATEST, NAME, Caller, ModelProvider, Wire, read_rows

#: The longest that a service is behind, in seconds: what its provider states.
BOUND = ModelProvider.visibility
_DAY = 86400.0
# A job that is cancelled goes on for some seconds.
_WINDS_DOWN = 5.0


class Shows(StrEnum):
    """What a list tells of a job."""

    LABEL = "its label"
    UPLOAD = "the upload that it was made of"
    ROWS = "how many rows it has; when it has ended, its answers tell whose they are"


class Fit(StrEnum):
    """How the counts of a job that has ended fit."""

    WELL = "well"
    NONE = "there are none"
    STALE = "they are of before its last row"
    ODD = "they are of other rows"


class Fate(StrEnum):
    """What the service does with a row."""

    ANSWERED = "answered, and paid"
    TWICE = "answered, and paid; the answer is there twice"
    BUSY = "an error that passes"
    SKIPPED = "not worked on"


class Life(NamedTuple):
    """What becomes of a job, in seconds of the service's clock.

    Attributes:
        begins: until the first row is begun.
        pace: for each row.
        rows: what becomes of the rows, over and over.
        named: after its end, until it names its answers.
        there: after that, until they are there.
        fit: see there.
        refused: whether there is no room for its tokens: no row is worked on.
    """

    begins: float = 1.0
    pace: float = 1.0
    rows: tuple[Fate, ...] = (Fate.ANSWERED,)
    named: float = 0.0
    there: float = 0.0
    fit: Fit = Fit.WELL
    refused: bool = False


class Habits(NamedTuple):
    """How the service is at present. Attributes: how many seconds lists, and single jobs, are `behind`."""

    lists: float = 0.0
    jobs: float = 0.0


@dataclass
class LyingJob:
    """A job; all times are of the service's clock.

    Attributes:
        sent_late: a worker that was stopped sent it when our side could know it no more: it may exist until it is
            cancelled.
        unknown_until: till then, who asks for it hears that there is none.
    """

    id: str
    label: str
    upload: str | None
    rows: dict[str, str]
    made_at: float
    life: Life
    sent_late: bool = False
    unknown_until: float = 0.0
    cancelled_at: float | None = None
    deleted_at: float | None = None

    @property
    def ends_at(self) -> float:
        if self.life.refused:
            return self.made_at + self.life.begins
        return min(self._done_at(len(self.rows) - 1), self._stops_at)

    def has_ended(self, at: float) -> bool:
        return self.ends_at <= at

    def paid(self, at: float) -> list[str]:
        """What the rows said that were worked on until then."""
        return [say for _, say, fate in self._worked_on(at) if fate in (Fate.ANSWERED, Fate.TWICE)]

    def are_there(self, at: float) -> bool:
        """Whether its answers can be fetched."""
        return self.ends_at + self.life.named + self.life.there <= at and self.deleted_at is None

    def answers(self) -> list[bytes]:
        """In an order of the service's own."""
        lines = []
        for row_id, say, fate in self._worked_on(self.ends_at):
            answer = {"id": row_id, "error": "busy"} if fate is Fate.BUSY else {"id": row_id, "said": say}
            lines += [msgspec.json.encode(answer)] * (2 if fate is Fate.TWICE else 1)
        return lines[::-1]

    def seen(self, at: float, shows: Shows) -> Job:
        """As the service shows it."""
        ended = self.has_ended(at)
        status = self._status(at)
        done = self._worked_on(self.ends_at - self.life.pace if ended and self.life.fit is Fit.STALE else at)
        failed = sum(fate is Fate.BUSY for *_, fate in done)
        completed, unanswered = len(done) - failed, len(self.rows) - len(done) if ended else None
        if ended and self.life.fit is Fit.NONE:
            completed, failed, unanswered = 0, 0, None
        if ended and self.life.fit is Fit.ODD:
            completed, unanswered = completed + 7, 0
        is_refused = status is BatchStatus.FAILED
        return Job(
            id=self.id,
            status=status,
            created_at=self.made_at,
            expires_at=self.made_at + _DAY,
            completed=0 if is_refused else completed,
            failed=0 if is_refused else failed,
            unanswered=None if is_refused else unanswered,
            unnamed=ended and not is_refused and at < self.ends_at + self.life.named,
            label=self.label if shows is Shows.LABEL else None,
            upload=self.upload if shows is Shows.UPLOAD else None,
            rows=len(self.rows),
            error=Failure(type="token_limit_exceeded", message="no room", retryable=True) if is_refused else None,
        )

    @property
    def _stops_at(self) -> float:
        expires_at = self.made_at + _DAY
        return expires_at if self.cancelled_at is None else min(expires_at, self.cancelled_at + _WINDS_DOWN)

    def _done_at(self, number: int) -> float:
        return self.made_at + self.life.begins + (number + 1) * self.life.pace

    def _worked_on(self, at: float) -> list[tuple[str, str, Fate]]:
        until = min(at, self._stops_at)
        rows = zip(self.rows.items(), cycle(self.life.rows), strict=False)
        done = [(*row, fate) for number, (row, fate) in enumerate(rows) if self._done_at(number) <= until]
        return [] if self.life.refused else [each for each in done if each[2] is not Fate.SKIPPED]

    def _status(self, at: float) -> BatchStatus:
        if not self.has_ended(at):
            is_cancelling = self.cancelled_at is not None and self.cancelled_at <= at
            return BatchStatus.CANCELLING if is_cancelling else BatchStatus.IN_PROGRESS
        if self.life.refused:
            return BatchStatus.FAILED
        if self._done_at(len(self.rows) - 1) <= self._stops_at:
            return BatchStatus.COMPLETED
        return BatchStatus.EXPIRED if self.cancelled_at is None else BatchStatus.CANCELLED


class Upload(NamedTuple):
    """Attributes: whose rows, which, and since when they are there."""

    label: str
    rows: dict[str, str]
    made_at: float


class LyingService(Wire):
    """The other side of the wire.

    Attributes:
        offset: seconds that its clock is ahead of ours.
        lives: of the jobs to come, over and over.
        habits: at present.
        on_delete: called before answers are deleted.
        wrong: what was asked of it that must not be.
    """

    def __init__(self, fleet: Fleet, shows: Shows, *, offset: float = 0.0, lives: Sequence[Life] = (Life(),)) -> None:
        super().__init__(fleet, takes_files=shows is not Shows.ROWS)
        self.shows = shows
        self.offset = offset
        self.lives = cycle(lives)
        self.habits = Habits()
        self.jobs: dict[str, LyingJob] = {}
        self.uploads: dict[str, Upload] = {}
        self.on_delete: Callable[[LyingJob], None] = lambda _: None
        self.wrong: list[str] = []

    def now(self) -> float:
        return self.fleet.clock.now + self.offset

    def bill(self) -> "Counter[str]":
        """How often each row is paid, but for what stopped workers sent late."""
        jobs = [job for job in self.jobs.values() if not job.sent_late]
        return Counter(say for job in jobs for say in job.paid(self.now()))

    def upload(self, label: str, rows: dict[str, str]) -> str:
        name = self.name("file")
        self.uploads[name] = Upload(label, rows, self.now())
        return name

    def create(self, label: str, upload: str | None, rows: dict[str, str], *, sent_late: bool = False) -> LyingJob:
        if self.takes_files:
            if upload not in self.uploads:
                raise RequestRefusedError(NAME, 400, "no such file")
            rows = self.uploads[upload].rows
        job = LyingJob(self.name("job"), label, upload, rows, self.now(), next(self.lives), sent_late)
        self.jobs[job.id] = job
        return job

    def get(self, job_id: str) -> Job:
        return self._known(job_id).seen(self.now() - self.habits.jobs, self.shows)

    def listed(self) -> list[Job]:
        """The newest first."""
        at = self.now() - self.habits.lists
        return [job.seen(at, self.shows) for job in reversed(self.jobs.values()) if self._is_there(job, at)]

    def cancel(self, job_id: str) -> None:
        job = self._known(job_id)
        if not job.has_ended(self.now()) and job.cancelled_at is None:
            job.cancelled_at = self.now()

    def download(self, job_id: str) -> list[bytes]:
        job = self._known(job_id)
        if not job.are_there(self.now()):
            raise NotFoundError(NAME, 404, "no answers")
        return job.answers()

    def read_label(self, job_id: str) -> str | None:
        job = self.jobs[job_id]
        if job.deleted_at is not None:
            return ""
        return job.label if job.are_there(self.now()) else None

    def delete(self, job_id: str) -> None:
        job = self.jobs[job_id]
        if job.deleted_at is None:
            self.on_delete(job)
            job.deleted_at = self.now()

    def find_uploads(self, label: str) -> list[str]:
        at = self.now() - self.habits.lists
        return [name for name, upload in self.uploads.items() if upload.label == label and upload.made_at <= at]

    def delete_upload(self, name: str) -> None:
        """A job whose rows are deleted while it runs goes on; but that we do this is wrong."""
        made = [job for job in self.jobs.values() if job.upload == name and not job.has_ended(self.now())]
        self.wrong += [f"{name} is deleted, and {job.id} runs" for job in made if job.cancelled_at is None]
        self.uploads.pop(name, None)

    def of_label(self, label: str) -> list[LyingJob]:
        """Those that did work, or may."""
        return [job for job in self.jobs.values() if job.label == label and not job.life.refused]

    def _known(self, job_id: str) -> LyingJob:
        job = self.jobs[job_id]
        if job.unknown_until > self.now() or not self._is_there(job, self.now() - self.habits.jobs):
            raise NotFoundError(NAME, 404, "no such job")
        return job

    def _is_there(self, job: LyingJob, at: float) -> bool:
        """Where rows go with a job, the job is deleted with its answers."""
        is_deleted = not self.takes_files and job.deleted_at is not None and job.deleted_at <= at
        return job.made_at <= at and not is_deleted


class LyingClient(Caller):
    """See `UnlabelledClient`; without the rows that go with a job, its lists show labels."""

    def __init__(self, service: LyingService) -> None:
        super().__init__(service)
        self._service = service

    def upload(self, rows: Rows, spec: JobSpec) -> str | None:
        if not self._service.takes_files:
            return None
        content = read_rows(rows)
        return self.call("upload", spec.label, lambda: self._service.upload(spec.label, content))

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        service, clock = self._service, self._service.fleet.clock
        content, read_at = read_rows(rows), clock.now

        def create() -> LyingJob:
            is_late = not service.takes_files and clock.now - read_at > LATEST
            return service.create(spec.label, spec.upload, content, sent_late=is_late)

        made = self.call("create", spec.label, create)
        return made.seen(service.now(), service.shows)

    def get(self, job_id: str) -> Job:
        return self.call("get", "", lambda: self._service.get(job_id))

    def list(self, age: float) -> Iterator[Job]:
        since = self._service.now() - age
        return (job for job in self.call("list", "", self._service.listed) if job.created_at >= since)

    def cancel(self, job_id: str) -> None:
        self.call("cancel", "", lambda: self._service.cancel(job_id))

    def download(self, job: Job, into: BinaryIO) -> None:
        for line in self.call("download", "", lambda: self._service.download(job.id)):
            into.write(line + b"\n")

    def read_label(self, job: Job) -> str | None:
        return self.call("read_label", "", lambda: self._service.read_label(job.id))

    def find_uploads(self, spec: JobSpec, age: float) -> Sequence[str]:
        return self.call("find_uploads", "", lambda: self._service.find_uploads(spec.label))

    def delete_upload(self, upload: str) -> None:
        self.call("delete_upload", "", lambda: self._service.delete_upload(upload))

    def delete(self, job: Job) -> None:
        self.call("delete", "", lambda: self._service.delete(job.id))


class UnlabelledProvider(ModelProvider):
    """One whose lists do not show whose a job is."""

    labelled = False
