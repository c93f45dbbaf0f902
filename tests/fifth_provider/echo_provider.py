"""A fifth provider, whole, in one file of another package: it answers each prompt with the prompt itself."""

from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

import msgspec

from batch_router.core import BatchStatus, FinishReason, ResultStatus, UnifiedRequest, UnifiedResult
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import ValidationError
from batch_router.providers import Access, Client, Limits, Provider, Rows
from batch_router.settings import Settings


class EchoCodec:
    """Rows are `{"id", "say"}`, answers `{"id", "said"}`."""

    def encode(self, request: UnifiedRequest, row_id: str) -> object:
        last = request.messages[-1]
        if not last.is_text_only():
            raise ValidationError("messages: echo repeats text only; send a text")
        return {"id": row_id, "say": last.get_text()}

    def read_row_id(self, line: bytes) -> str | None:
        return str(msgspec.json.decode(line)["id"])

    def decode(self, line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
        row = msgspec.json.decode(line)
        answer = UnifiedResult(
            custom_id=custom_id,
            status=ResultStatus.SUCCEEDED,
            text=row["said"],
            finish_reason=FinishReason.STOP,
            response=row,
        )
        return answer, False


class EchoClient:
    """The service, too: a job is done when it is created, and its answers are made when they are fetched."""

    access = Access("echo")
    jobs: ClassVar[dict[str, bytes]] = {}

    def upload(self, rows: Rows, spec: JobSpec) -> str | None:
        return None

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        with rows.open() as stream:  # rows can be read only while the request may be sent
            self.jobs[spec.label] = stream.read()
        return self.get(spec.label)

    def get(self, job_id: str) -> Job:
        return Job(id=job_id, status=BatchStatus.COMPLETED, created_at=0, label=job_id)

    def list(self, age: float) -> Iterator[Job]:
        return (self.get(label) for label in reversed(self.jobs))

    def cancel(self, job_id: str) -> None:
        pass

    def download(self, job: Job, into: BinaryIO) -> None:
        for line in self.jobs[job.id].splitlines():
            row: dict[str, Any] = msgspec.json.decode(line)
            into.write(msgspec.json.encode({"id": row["id"], "said": row["say"]}) + b"\n")

    def find_uploads(self, spec: JobSpec, age: float) -> tuple[str, ...]:
        return ()

    def delete_upload(self, upload: str) -> None:
        pass

    def delete(self, job: Job) -> None:
        self.jobs.pop(job.id, None)

    def close(self) -> None:
        pass


class EchoProvider(Provider):
    """An API of this test's own."""

    name = "echo"
    limits = Limits(rows=100, bytes=1_000_000)
    codec = EchoCodec()

    @classmethod
    def preload(cls) -> None:
        """Nothing to import."""

    def connect(self, settings: Settings) -> Client:
        return EchoClient()
