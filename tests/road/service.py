"""A provider whose service is a model: it keeps jobs and uploads by the test's clock, and fails as it is told.

Rows are `{"id", "say"}`, answers `{"id", "said"}` or `{"id", "error"}`. No two requests of a test say the same, so that
the service can tell what it was paid for.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec

from batch_router.core import BatchStatus, ErrorType, FinishReason, ResultError, ResultStatus, UnifiedRequest
from batch_router.core import UnifiedResult as Result
from batch_router.core.jobs import Failure, Job, JobSpec, RefusedRow
from batch_router.exceptions import NotFoundError, ProviderUnavailableError, RateLimitedError, RequestRefusedError
from batch_router.providers import Access, Client, Limits, Provider, Rows
from batch_router.settings import Settings
from tests.road.fleet import Fleet

NAME = "model"
T = TypeVar("T")

# What cannot be fetched has no results, by design.
_NEVER_REFUSED = ("get", "cancel", "download")

#: As many looks at a job, or at its answers, find nothing, where they come late.
LOOKS = 3

#: A request arrives this long after it was sent at most: the time-out of a call, and half a minute on the way.
LATEST = 90.0


class Fault(StrEnum):
    """What becomes of a call."""

    REFUSED = "4xx"
    UNSENT = "no connection was made"
    FAILED = "5xx before anything was done"
    LIMITED = "429"
    LOST = "done, and the answer did not arrive"
    BROKEN = "done, and our client stumbled over the answer"
    LATE = "given up on, and done some time later"


class Trouble(NamedTuple):
    """Attributes: the `fault` of a call, and after how many `seconds` it is done late, or may be sent again."""

    fault: Fault
    seconds: float


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


class Service:
    """The other side of the wire.

    Attributes:
        takes_files: whether rows are uploaded first; otherwise they go with the job.
        late: what is still on its way, and when it arrives.
        calm: from here on jobs end by themselves.
    """

    def __init__(self, fleet: Fleet, *, takes_files: bool) -> None:
        self.fleet = fleet
        self.takes_files = takes_files
        self.jobs: dict[str, ModelJob] = {}
        self.uploads: dict[str, tuple[str, dict[str, str]]] = {}
        self.late: list[tuple[float, str, Callable[[], object]]] = []
        self.calls = 0
        self.calm = False
        self._made = 0

    def arrive(self) -> None:
        """Do what was on its way until now; the answers get lost."""
        for entry in sorted(self.late, key=lambda entry: entry[0]):
            if entry[0] <= self.fleet.clock.now:
                self.late.remove(entry)
                with suppress(RequestRefusedError, NotFoundError):
                    entry[2]()

    def upload(self, label: str, rows: dict[str, str]) -> str:
        name = self._name("file")
        self.uploads[name] = (label, rows)
        return name

    def create(self, label: str, upload: str | None, rows: dict[str, str]) -> ModelJob:
        if self.takes_files:
            if upload not in self.uploads:
                raise RequestRefusedError(NAME, 400, "no such file")
            rows = self.uploads[upload][1]
        job = ModelJob(self._name("job"), label, rows, created_at=self.fleet.clock.now)
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

    def is_coming(self, label: str) -> bool:
        """Whether a request to create a job with the label is on its way."""
        return any(about == label for _, about, _ in self.late)

    def _name(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self._made:03d}"


class ModelClient:
    """Our side of the wire: each call is a place where its worker may die or be paused, and may go wrong as told."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.access = Access(NAME)

    def upload(self, rows: Rows, spec: JobSpec) -> str | None:
        if not self._service.takes_files:
            return None
        content = _read_rows(rows)
        return self._call("upload", spec.label, lambda: self._service.upload(spec.label, content))

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        content = _read_rows(rows)
        return self._call("create", spec.label, lambda: self._service.create(spec.label, spec.upload, content)).seen()

    def get(self, job_id: str) -> Job:
        return self._call("get", "", lambda: self._service.get(job_id).seen())

    def list(self, age: float) -> Iterator[Job]:
        since = self._service.fleet.clock.now - age
        listed = self._call("list", "", lambda: [job.seen() for job in self._service.newest_first()])
        return (job for job in listed if job.created_at >= since)

    def cancel(self, job_id: str) -> None:
        self._call("cancel", "", lambda: self._service.cancel(job_id))

    def download(self, job: Job, into: BinaryIO) -> None:
        for line in self._call("download", "", lambda: self._service.download(job.id)):
            into.write(line + b"\n")

    def find_uploads(self, spec: JobSpec, age: float) -> Sequence[str]:
        uploads = self._call("find_uploads", "", self._service.uploads.copy)
        return [name for name, (label, _) in uploads.items() if label == spec.label]

    def delete_upload(self, upload: str) -> None:
        self._call("delete_upload", "", lambda: self._service.uploads.pop(upload, None))

    def delete(self, job: Job) -> None:
        self._call("delete", "", lambda: None)

    def close(self) -> None:
        pass

    def _call(self, name: str, label: str, act: Callable[[], T]) -> T:
        service, fleet = self._service, self._service.fleet
        # Where the rows go with the job, nothing can stop a request that a paused process sends when it wakes.
        fleet.seam(pausable=service.takes_files or name != "create")
        service.calls += 1
        fault, seconds = self._next_trouble(name)
        if fault is Fault.REFUSED:
            raise RequestRefusedError(NAME, 400, "no")
        if fault is Fault.LIMITED:
            raise RateLimitedError(NAME, 429, "later", retry_after=seconds)
        if fault in (Fault.UNSENT, Fault.FAILED):
            raise ProviderUnavailableError(NAME, 0, fault, ambiguous=fault is Fault.FAILED)
        if fault is Fault.LATE:
            service.late.append((fleet.clock.now + seconds, label, act))
            raise ProviderUnavailableError(NAME, 0, fault, ambiguous=True)
        answer = act()
        fleet.seam()
        if fault is Fault.LOST:
            raise ProviderUnavailableError(NAME, 0, fault, ambiguous=True)
        if fault is Fault.BROKEN:
            raise RuntimeError(fault)
        return answer

    def _next_trouble(self, name: str) -> tuple[Fault | None, float]:
        worker = self._service.fleet.current
        trouble = worker.troubles.popleft() if worker is not None and worker.troubles else None
        if trouble is None:
            return None, 0.0
        if name in _NEVER_REFUSED and trouble.fault in (Fault.REFUSED, Fault.BROKEN):
            return Fault.FAILED, 0.0
        return trouble.fault, trouble.seconds


class ModelCodec:
    """See `Codec`."""

    def encode(self, request: UnifiedRequest, row_id: str) -> object:
        return {"id": row_id, "say": request.messages[-1].get_text()}

    def read_row_id(self, line: bytes) -> str | None:
        return str(msgspec.json.decode(line)["id"])

    def decode(self, line: bytes, custom_id: str) -> tuple[Result, bool]:
        row = msgspec.json.decode(line)
        facts: dict[str, Any] = {"custom_id": custom_id, "response": row}
        if "error" in row:
            error = ResultError(type=ErrorType.SERVER, message=row["error"], retryable=True)
            return Result(status=ResultStatus.ERRORED, error=error, **facts), False
        return Result(status=ResultStatus.SUCCEEDED, text=row["said"], finish_reason=FinishReason.STOP, **facts), False


class ModelProvider(Provider):
    """An API of the test's own."""

    name = NAME
    limits = Limits(rows=100, bytes=1_000_000)
    codec = ModelCodec()

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service

    def connect(self, settings: Settings) -> Client:
        return ModelClient(self._service)


def _read_rows(rows: Rows) -> dict[str, str]:
    with rows.open() as stream:
        decoded = [msgspec.json.decode(line) for line in stream]
    return {row["id"]: row["say"] for row in decoded}
