"""OpenAI's Files and Batches through the official SDK, retries off, answers read leniently."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, BinaryIO

import httpx2
import openai

from ...core import BatchStatus
from ...core.jobs import Failure, Job, JobSpec
from ...exceptions import (
    CredentialsError,
    NotFoundError,
    ProtocolError,
    ProviderAPIError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
)
from .._openai_dialect.rows import URLS
from ..access import Access
from ..answers import Answers, WholeLines
from ..base import Rows, read_retry_after
from ..pace import keep_pace

NAME = "openai"
TOKEN_KEY = "batch_router_token"  # noqa: S105 - a metadata key, not a secret

# A job may carry a time stamp this much older than the clock that wrote our intent.
CLOCK_SKEW = 600.0

_STATUSES = {
    "validating": BatchStatus.VALIDATING,
    "in_progress": BatchStatus.IN_PROGRESS,
    "finalizing": BatchStatus.IN_PROGRESS,
    "cancelling": BatchStatus.CANCELLING,
    "completed": BatchStatus.COMPLETED,
    "failed": BatchStatus.FAILED,
    "cancelled": BatchStatus.CANCELLED,
    "expired": BatchStatus.EXPIRED,
}

# Most specific first; the first match counts.
_ERRORS: tuple[tuple[type[openai.APIStatusError], type[ProviderAPIError]], ...] = (
    (openai.AuthenticationError, CredentialsError),
    (openai.PermissionDeniedError, CredentialsError),
    (openai.NotFoundError, NotFoundError),
    (openai.RateLimitError, RateLimitedError),
    (openai.ConflictError, ProviderUnavailableError),
    (openai.InternalServerError, ProviderUnavailableError),
    (openai.APIStatusError, RequestRefusedError),
)


class OpenAIClient:
    """See `Client`."""

    def __init__(self, api_key: str, *, base_url: str | None, timeout: float) -> None:
        self._answers = Answers(NAME, api_key)
        # The SDK's own retries would send a second create after a lost answer: two jobs, both paid.
        transport = openai.DefaultHttpxClient(timeout=timeout, event_hooks={"response": [keep_pace(timeout)]})
        self._sdk = openai.OpenAI(
            api_key=api_key, base_url=base_url, timeout=timeout, max_retries=0, http_client=transport
        )
        self.access = Access(NAME, str(self._sdk.base_url), api_key)

    def upload(self, rows: Rows, spec: JobSpec) -> str:
        """Send the rows as a file named after the token."""
        with self._translated(), rows.open() as stream:
            answer = self._sdk.files.with_raw_response.create(file=(_file_name(spec), stream), purpose="batch")
            file = self._answers.read(answer.http_response.content)
        if file.get("bytes") not in (None, rows.size):
            raise ProtocolError(NAME, 200, f"uploaded {rows.size} bytes, it counted {file['bytes']}")
        return self._answers.text(file, "id")

    def create(self, rows: Rows, spec: JobSpec) -> Job:  # noqa: ARG002 - the rows were uploaded before
        """Create the job with the token in its metadata."""
        with self._translated():
            answer = self._sdk.batches.with_raw_response.create(
                input_file_id=str(spec.upload),
                endpoint=URLS[spec.endpoint],
                completion_window="24h",
                metadata={TOKEN_KEY: spec.token},
            )
            return self._job(self._answers.read(answer.http_response.content))

    def find(self, spec: JobSpec) -> Job | None:
        """Walk the newest jobs back to the time of the intent."""
        for batch in self._batches():
            if _token(batch) == spec.token:
                return self._job(batch)
            if batch.get("created_at", 0) < spec.since - CLOCK_SKEW:
                return None
        return None

    def get(self, job_id: str) -> Job:
        """Retrieve the job."""
        with self._translated():
            answer = self._sdk.batches.with_raw_response.retrieve(job_id)
            return self._job(self._answers.read(answer.http_response.content))

    def cancel(self, job_id: str) -> None:
        """Ask for cancellation; a job that has ended already is left as it is."""
        try:
            with self._translated():
                self._sdk.batches.with_raw_response.cancel(job_id)
        except ProviderAPIError as error:
            if error.status_code not in (400, 409) or not self.get(job_id).status.is_final:
                raise

    def download(self, job: Job, into: BinaryIO) -> None:
        """Stream the output file, then the error file."""
        for file_id in job.outputs:
            lines = WholeLines(into)
            with self._translated(), self._sdk.files.with_streaming_response.content(file_id) as answer:
                for chunk in answer.iter_bytes(1 << 16):
                    lines.write(chunk)
            lines.end()

    def list(self, limit: int) -> Iterator[Job]:
        """Walk the jobs back from the newest."""
        return islice((self._job(batch) for batch in self._batches()), limit)

    def delete(self, job: Job) -> None:
        """Delete the output and the error file; a batch itself cannot be deleted."""
        for file_id in job.outputs:
            self.delete_upload(file_id)

    def find_uploads(self, spec: JobSpec) -> Iterator[str]:
        """Walk the newest files back to the time of the shard."""
        for file in self._newest_first(self._sdk.files.with_raw_response.list, purpose="batch", order="desc"):
            if file.get("filename") == _file_name(spec):
                yield self._answers.text(file, "id")
            if file.get("created_at", 0) < spec.since - CLOCK_SKEW:
                return

    def delete_upload(self, upload: str) -> None:
        """Delete the input file."""
        with suppress(NotFoundError), self._translated():
            self._sdk.files.with_raw_response.delete(upload)

    def close(self) -> None:
        """Close the SDK's connections."""
        self._sdk.close()

    def _newest_first(self, list_page: Callable[..., Any], **arguments: str) -> Iterator[dict[str, Any]]:
        after: str | openai.Omit = openai.omit
        while True:
            with self._translated():
                answer = list_page(limit=100, after=after, **arguments)
                page = self._answers.read(answer.http_response.content)
            found = [each for each in page.get("data") or () if isinstance(each, dict)]
            yield from found
            if not page.get("has_more") or not found:
                return
            after = self._answers.text(found[-1], "id")

    def _batches(self) -> Iterator[dict[str, Any]]:
        return self._newest_first(self._sdk.batches.with_raw_response.list)

    def _job(self, batch: dict[str, Any]) -> Job:
        word = self._answers.text(batch, "status")
        status = _STATUSES.get(word)
        if status is None:
            raise self._answers.unknown_status(word)
        counts = batch.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        outputs = (batch.get("output_file_id"), batch.get("error_file_id"))
        return Job(
            id=self._answers.text(batch, "id"),
            status=status,
            created_at=batch.get("created_at") or 0,
            completed=counts.get("completed") or 0,
            failed=counts.get("failed") or 0,
            expires_at=batch.get("expires_at"),
            outputs=tuple(name for name in outputs if isinstance(name, str)),
            token=_token(batch),
            error=_failure(batch.get("errors")) if status is BatchStatus.FAILED else None,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The SDK's errors as ours."""
        try:
            yield
        except openai.APIStatusError as error:
            raise self._status_error(error) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:  # the latter while an answer is streamed
            raise self._answers.lost(error) from error

    def _status_error(self, error: openai.APIStatusError) -> ProviderAPIError:
        kind = next(ours for theirs, ours in _ERRORS if isinstance(error, theirs))
        body = error.body if isinstance(error.body, dict) else {}
        message = body.get("message")
        return kind(
            NAME,
            error.status_code,
            self._answers.words(message, error.response.content),
            retry_after=read_retry_after(error.response.headers),
            ambiguous=kind is ProviderUnavailableError,
        )


def _file_name(spec: JobSpec) -> str:
    return f"{spec.token}.jsonl"  # the service refuses a batch of a file with another ending


def _token(batch: dict[str, Any]) -> str | None:
    metadata = batch.get("metadata")
    token = metadata.get(TOKEN_KEY) if isinstance(metadata, dict) else None
    return token if isinstance(token, str) else None


def _failure(errors: Any) -> Failure:
    data = errors.get("data") if isinstance(errors, dict) else None
    known = [error for error in data or () if isinstance(error, dict)]
    first = known[0] if known else {}
    code = str(first.get("code") or "job_failed")
    line = f" (line {first['line']})" if first.get("line") is not None else ""
    more = f", and {len(known) - 1} more" if len(known) > 1 else ""
    return Failure(
        type=code,
        message=f"{first.get('message') or 'the provider refused the job and did not say why'}{line}{more}",
        retryable=code == "token_limit_exceeded",
    )
