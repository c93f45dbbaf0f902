"""The Gemini Developer API's files and batches through the official SDK, answers read leniently.

The SDK sends; what came back is read here. Its models of a batch leave out what the road needs: why a job failed
(`error`), how far it is (`batchStats`), and results that are only in `response`. There is no public way to an answer's
JSON, so the client that the SDK sends with, which may be given to it, notes the answers as they come in. That uses
neither private names nor a second way of building requests, and a job that the SDK's models refuse is not lost.
"""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, BinaryIO

import httpx2
import msgspec
from google import genai
from google.genai import errors, types

from ...core import BatchStatus, Endpoint
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
from ..access import Access
from ..answers import Answers, WholeLines, seconds_of
from ..base import Rows, read_retry_after
from ..pace import keep_pace

NAME = "google"

# The service knows two; all that was ever recorded of batches is of this one. The SDK's default changed once.
_API_VERSION = "v1beta"
# Where the SDK sends to, if it is given no address.
_URL_VARIABLE, _URL = "GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com/"
_MIME_TYPE = "application/jsonl"
_PAGE = 100

# A job may carry a time stamp this much older than the clock that wrote our intent.
CLOCK_SKEW = 600.0

# ai.google.dev/gemini-api/docs/batch-api: a job that is not done after 48 hours expires.
_LIFETIME = 48 * 3600.0

# google.rpc.Code
_RESOURCE_EXHAUSTED = 8

_STATUSES = {
    "UNSPECIFIED": BatchStatus.VALIDATING,
    "PENDING": BatchStatus.VALIDATING,
    "RUNNING": BatchStatus.IN_PROGRESS,
    "SUCCEEDED": BatchStatus.COMPLETED,
    "PARTIALLY_SUCCEEDED": BatchStatus.COMPLETED,
    "FAILED": BatchStatus.FAILED,
    "CANCELLED": BatchStatus.CANCELLED,
    "EXPIRED": BatchStatus.EXPIRED,
}

_ERRORS: dict[int, type[ProviderAPIError]] = {
    401: CredentialsError,
    403: CredentialsError,
    404: NotFoundError,
    409: ProviderUnavailableError,
    410: NotFoundError,
    429: RateLimitedError,
}

# The SDK says so at each call; what may change in it is the model of its answer, which is not used here.
warnings.filterwarnings("ignore", message=r"batches\.create_embeddings\(\) is experimental")


class _Heard(threading.local):
    """The last answer that this thread listened for."""

    listening = False
    body = b""

    def note(self, response: httpx2.Response) -> None:
        """Keep an answer, if it is one of those; a download is not, and goes by in pieces."""
        if self.listening:
            self.body = response.read()


class GoogleClient:
    """See `Client`."""

    def __init__(self, api_key: str, *, base_url: str | None, timeout: float) -> None:
        self.access = Access(NAME, base_url or os.environ.get(_URL_VARIABLE) or _URL, api_key)
        self._answers = Answers(NAME, api_key)
        self._heard = _Heard()
        hooks = {"response": [keep_pace(timeout), self._heard.note]}
        transport = httpx2.Client(timeout=timeout, follow_redirects=True, event_hooks=hooks)
        self.close = transport.close  # the SDK closes only what it has made itself
        self._sdk = genai.Client(
            api_key=api_key,
            vertexai=False,  # whatever GOOGLE_GENAI_USE_VERTEXAI says
            http_options=types.HttpOptions(
                base_url=base_url,
                api_version=_API_VERSION,
                timeout=int(timeout * 1000),
                # A second create after a lost answer would be a second job, and both are paid. One attempt is the
                # SDK's default; here it is said.
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_client=transport,
            ),
        )

    def upload(self, rows: Rows, spec: JobSpec) -> str:
        """Send the rows as a file named after the token: a second upload in the same round finds the first."""
        name = _file_name(spec.token, spec.round)
        found = self._find_file(name)
        if found is not None:
            if self._is_whole(found, rows.size):
                return name
            self.delete_upload(name)
        config = types.UploadFileConfig(name=name, display_name=spec.token, mime_type=_MIME_TYPE)
        try:
            with rows.open() as stream:
                file = self._ask(self._sdk.files.upload, file=stream, config=config).get("file")
        except ProviderAPIError as error:
            if error.status_code != 409:
                raise
            file = self._find_file(name)  # somebody else was faster
        if not isinstance(file, dict) or not self._is_whole(file, rows.size):
            raise ProtocolError(NAME, 200, f"uploaded {rows.size} bytes, and it does not have them")
        return self._answers.text(file, "name")

    def create(self, rows: Rows, spec: JobSpec) -> Job:  # noqa: ARG002 - the rows were uploaded before
        """Create the job with the token as its display name."""
        config = {"display_name": spec.token}
        if spec.endpoint is Endpoint.EMBEDDINGS:
            source = {"file_name": str(spec.upload)}
            return self._job(
                self._ask(self._sdk.batches.create_embeddings, model=spec.model, src=source, config=config)
            )
        return self._job(self._ask(self._sdk.batches.create, model=spec.model, src=str(spec.upload), config=config))

    def find(self, spec: JobSpec) -> Job | None:
        """Walk the newest jobs back to the time of the intent."""
        for batch in self._newest_first():
            if _token(batch) == spec.token:
                return self._job(batch)
            if (seconds_of(_metadata(batch).get("createTime")) or 0) < spec.since - CLOCK_SKEW:
                return None
        return None

    def get(self, job_id: str) -> Job:
        """Retrieve the job."""
        return self._job(self._ask(self._sdk.batches.get, name=job_id))

    def list(self, limit: int) -> Iterator[Job]:
        """Walk the jobs back from the newest."""
        return islice((self._job(batch) for batch in self._newest_first()), limit)

    def cancel(self, job_id: str) -> None:
        """Ask for cancellation; a job that has ended already is left as it is."""
        try:
            self._ask(self._sdk.batches.cancel, name=job_id)
        except ProviderAPIError as error:
            if error.status_code not in (400, 409) or not self.get(job_id).status.is_final:
                raise

    def download(self, job: Job, into: BinaryIO) -> None:
        """Stream the file of responses; those that are in the job itself are written as such a file has them."""
        if not job.outputs:
            for row in _inlined(self._ask(self._sdk.batches.get, name=job.id)):
                into.write(msgspec.json.encode(row) + b"\n")
        for file in job.outputs:
            lines = WholeLines(into)
            with self._translated():
                self._sdk.files.download(file=file, destination=lines)  # type: ignore[call-overload] # it writes
            lines.end()

    def find_uploads(self, spec: JobSpec) -> Iterator[str]:
        """One of each round, by its name; whether it is still there is not asked."""
        return (_file_name(spec.token, number) for number in range(spec.round + 1))

    def delete_upload(self, upload: str) -> None:
        """Delete the input file."""
        with suppress(NotFoundError):
            self._ask(self._sdk.files.delete, name=upload)

    def delete(self, job: Job) -> None:
        """Delete the job and its file of responses."""
        for file in job.outputs:
            self.delete_upload(file)
        with suppress(NotFoundError):
            self._ask(self._sdk.batches.delete, name=job.id)

    def _find_file(self, name: str) -> dict[str, Any] | None:
        try:
            return self._ask(self._sdk.files.get, name=name)
        except NotFoundError:
            return None

    @staticmethod
    def _is_whole(file: dict[str, Any], size: int) -> bool:
        return _number(file.get("sizeBytes")) == size and file.get("state") != "FAILED"

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        page_token = None
        while True:
            config = types.ListBatchJobsConfig(page_size=_PAGE, page_token=page_token)
            page = self._ask(self._sdk.batches.list, config=config)
            batches = page.get("operations")
            yield from (batch for batch in batches or () if isinstance(batch, dict))
            page_token = page.get("nextPageToken")
            if not page_token:
                return

    def _ask(self, call: Callable[..., object], **arguments: Any) -> dict[str, Any]:
        """What the service says to a call of the SDK's."""
        heard = self._heard
        heard.listening, heard.body = True, b""
        try:
            with self._translated():
                call(**arguments)
        except ProviderAPIError:
            raise
        except Exception:
            if not heard.body:
                raise
            # An answer was heard: that the SDK has no use for it does not matter here.
        finally:
            heard.listening = False
        return self._answers.read(heard.body)

    def _job(self, batch: dict[str, Any]) -> Job:
        """A job from its operation: zero counts, an unspecified state and `done` before the end are left out there."""
        metadata = _metadata(batch)
        word = str(metadata.get("state") or "BATCH_STATE_UNSPECIFIED")
        status = _STATUSES.get(word.rpartition("_STATE_")[2])
        if status is None:
            raise self._answers.unknown_status(word)
        if batch.get("error") and not status.is_final:
            status = BatchStatus.FAILED
        stats = metadata.get("batchStats")
        stats = stats if isinstance(stats, dict) else {}
        created_at = seconds_of(metadata.get("createTime")) or 0.0
        file = _output(batch).get("responsesFile")
        return Job(
            id=self._answers.text(batch, "name"),
            status=status,
            created_at=created_at,
            completed=_number(stats.get("successfulRequestCount")) or 0,
            failed=_number(stats.get("failedRequestCount")) or 0,
            expires_at=created_at + _LIFETIME if created_at else None,
            outputs=(file,) if isinstance(file, str) else (),
            token=_token(batch),
            error=self._failure(batch.get("error")) if status is BatchStatus.FAILED else None,
        )

    def _failure(self, error: Any) -> Failure:
        known = error if isinstance(error, dict) else {}
        code = known.get("code")
        message = known.get("message")
        return Failure(
            type=f"job_failed_{code}" if isinstance(code, int) else "job_failed",
            message=self._answers.words(message or "the provider refused the job and did not say why", ""),
            retryable=code == _RESOURCE_EXHAUSTED,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The SDK's errors as ours."""
        try:
            yield
        except errors.APIError as error:
            raise self._status_error(error) from error
        except httpx2.HTTPError as error:
            raise self._answers.lost(error) from error

    def _status_error(self, error: errors.APIError) -> ProviderAPIError:
        message = self._answers.words(error.message, str(error.details))[:1000]
        details = _details(error.details)
        kind = _ERRORS.get(error.code, RequestRefusedError)
        if error.code >= 500:
            kind = ProviderUnavailableError
        elif error.code < 400:  # the SDK takes nothing but 200 for success
            kind = ProtocolError
        elif any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
            kind = CredentialsError  # with the status 400
        elif error.code == 403 and "may not exist" in message:
            kind = NotFoundError  # how it says that a file is gone
        return kind(
            NAME,
            error.code,
            message,
            retry_after=_retry_after(details, error.response),
            ambiguous=kind in (ProviderUnavailableError, ProtocolError),
        )


def _file_name(token: str, number: int) -> str:
    return f"files/br-{token}-{number}"


def _metadata(batch: dict[str, Any]) -> dict[str, Any]:
    metadata = batch.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _token(batch: dict[str, Any]) -> str | None:
    name = _metadata(batch).get("displayName")
    return name if isinstance(name, str) else None


def _output(batch: dict[str, Any]) -> dict[str, Any]:
    """Where the results are: said in two places, either of which may be missing."""
    for output in (batch.get("response"), _metadata(batch).get("output")):
        if isinstance(output, dict) and ("responsesFile" in output or "inlinedResponses" in output):
            return output
    return {}


def _inlined(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The results that are in the job itself, with the key where a file of responses has it."""
    rows: Any = _output(batch)
    for _ in range(2):  # a list in an object of the same name
        rows = rows.get("inlinedResponses") if isinstance(rows, dict) else rows
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            yield {"key": _metadata(row).get("key"), **row}


def _number(count: Any) -> int | None:
    """A count, which JSON of Google's has as a string."""
    try:
        return int(count)
    except (TypeError, ValueError):
        return None


def _details(body: Any) -> list[dict[str, Any]]:
    error = body.get("error") if isinstance(body, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _retry_after(details: list[dict[str, Any]], response: Any) -> float | None:
    """The seconds in a detail like `{"retryDelay": "17s"}`, or those of the usual header."""
    for detail in details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str):
            return read_retry_after({"retry-after": delay.removesuffix("s")})
    return read_retry_after(getattr(response, "headers", {}))
