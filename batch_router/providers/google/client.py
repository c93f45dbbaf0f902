"""The Gemini Developer API's files and batches through the official SDK, answers read leniently.

The SDK sends the requests; the answers are read here. Its models of a batch leave out what the road needs: why a job
failed (`error`), how far it is (`batchStats`), and results that are only in `response`. It has no public way to an
answer's JSON, but it takes the HTTP client that it sends with, and that one records the answers. This uses no private
names and builds no request twice, and a job that the SDK's models refuse is not lost.
"""

import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

import httpx2
import msgspec
from google import genai
from google.genai import errors, types

from ...bounds import Bounds
from ...core import BatchStatus, Endpoint
from ...core.coerce import count_of, label_of, moment_of
from ...core.jobs import Failure, Job, JobSpec
from ...exceptions import CredentialsError, NotFoundError, ProviderAPIError
from ...retry_after import read_retry_after
from ...settings import Settings
from .._http import (
    Address,
    Answers,
    Counts,
    Errors,
    LineJoiner,
    ProviderClock,
    Refusal,
    fields_of,
    is_name,
    open_client,
    unless_ended,
    walk_pages,
    younger_than,
)
from ..access import Access
from ..base import Rows

NAME = "google"

# The service knows two; all that was ever recorded of batches is of this one. The SDK's default changed once.
_API_VERSION = "v1beta"
# Where the SDK sends to, if it is given no address.
_URL_VARIABLE, _URL = "GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com/"
# What names of files and of jobs begin with.
_FILES, _BATCHES = "files/", "batches/"
# Answers to an upload whose file may be there: another upload of the same rows was faster, or the answer to the last
# piece came from a gateway, and the session that the SDK asks for again has ended.
_UPLOADED_BEFORE = (404, 409)
_MIME_TYPE = "application/jsonl"
_PAGE = 100
_OK = 200

# ai.google.dev/gemini-api/docs/batch-api: a job that is not done after 48 hours expires.
_LIFETIME = 48 * 3600.0

# google.rpc.Code
_RESOURCE_EXHAUSTED = 8


class _Recorder(threading.local):
    """The last answer to a call of this thread, while `recording` is set."""

    recording = False
    status = 0
    body = b""

    def record(self, response: httpx2.Response) -> None:
        """Keep the answer whole. Downloads are not recorded: they go by in pieces."""
        if self.recording:
            self.status, self.body = response.status_code, response.read()


class GoogleClient:
    """See `Client`."""

    def __init__(self, api_key: str, *, base_url: str | None, settings: Settings) -> None:
        address = Address(NAME, base_url or os.environ.get(_URL_VARIABLE) or _URL)
        self.access = Access(NAME, address.url, api_key)
        self._errors = Errors(NAME, api_key, errors.APIError, _describe)
        self._answers = Answers(self._errors)
        self._recorder = _Recorder()
        self._clock = ProviderClock()
        http = open_client(
            address,
            timeout=settings.http_timeout,
            most_streamed=settings.of(Bounds).max_answers_bytes,
            redirects_downloads=True,  # from `/v1beta/files/...` to `/download/v1beta/files/...`
            hooks=[self._recorder.record, self._clock.hear],
        )
        self.close = http.close  # the SDK closes only what it has made itself
        trusts_none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._sdk = genai.Client(
            api_key=api_key,
            vertexai=False,  # whatever GOOGLE_GENAI_USE_VERTEXAI says
            http_options=types.HttpOptions(
                base_url=address.url,
                api_version=_API_VERSION,
                timeout=int(settings.http_timeout * 1000),
                # A second create after a lost answer would be a second job, and both are paid. One attempt is the
                # SDK's default, and made explicit here.
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_client=http,
                # The SDK would make three for clients that are never used, and read all certificates for each.
                client_args={"verify": trusts_none},
                async_client_args={"ssl": trusts_none},
            ),
        )

    def upload(self, rows: Rows, spec: JobSpec) -> str:
        """Send the rows as a file named after the label: a second upload in the same round finds the first."""
        name = _file_name(spec.label, spec.round)
        found = self._find_file(name)
        if found is not None:
            if self._is_whole(found, rows.size):
                return name
            self.delete_upload(name)
        config = types.UploadFileConfig(name=name, display_name=spec.label, mime_type=_MIME_TYPE)
        try:
            with rows.open() as stream:
                file = self._ask(self._sdk.files.upload, file=stream, config=config).get("file")
        except ProviderAPIError as error:
            if error.status_code not in _UPLOADED_BEFORE:
                raise
            file = self._find_file(name)
        if not isinstance(file, dict) or not self._is_whole(file, rows.size):
            raise self._errors.protocol(f"{rows.size} bytes were uploaded, and they are not there")
        return self._answers.name(file, "name", _FILES)

    def create(self, rows: Rows, spec: JobSpec) -> Job:  # noqa: ARG002 - the rows were uploaded before
        """Create the job with the label as its display name."""
        config: dict[str, Any] = {"display_name": spec.label}
        if headers := spec.options.all_headers:
            config["http_options"] = {"headers": headers}
        if spec.endpoint is Endpoint.EMBEDDINGS:
            source = {"file_name": str(spec.upload)}
            return self._job(
                self._ask(self._sdk.batches.create_embeddings, model=spec.model, src=source, config=config)
            )
        return self._job(self._ask(self._sdk.batches.create, model=spec.model, src=str(spec.upload), config=config))

    def get(self, job_id: str) -> Job:
        """Retrieve the job."""
        return self._job(self._ask(self._sdk.batches.get, name=job_id))

    def list(self, age: float) -> Iterator[Job]:
        """The jobs of the account."""
        return map(self._job, younger_than(age, self._newest_first(), _created_at, self._clock))

    def cancel(self, job_id: str) -> None:
        """Ask for cancellation; a job that has ended already is left as it is."""
        with unless_ended(lambda: self.get(job_id)):
            self._ask(self._sdk.batches.cancel, name=job_id)

    def download(self, job: Job, into: BinaryIO) -> None:
        """Stream the file of responses; those that are in the job itself are written as such a file has them."""
        if not job.outputs:
            for row in _inlined(self._ask(self._sdk.batches.get, name=job.id)):
                into.write(msgspec.json.encode(row) + b"\n")
        for file in job.outputs:
            lines = LineJoiner(into)
            with self._errors.translated():
                self._sdk.files.download(file=file, destination=lines)  # type: ignore[call-overload] # it writes
            lines.end()

    def find_uploads(self, spec: JobSpec, age: float) -> Iterator[str]:  # noqa: ARG002
        """The name of each round's file; some may be gone."""
        return (_file_name(spec.label, number) for number in range(spec.round + 1))

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
        return count_of(file.get("sizeBytes")) == size and file.get("state") != "FAILED"

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        def fetch(cursor: str | None) -> dict[str, Any]:
            config = types.ListBatchJobsConfig(page_size=_PAGE, page_token=cursor)
            return self._ask(self._sdk.batches.list, config=config)

        listed = walk_pages(
            self._errors, fetch, "operations", lambda page, _: self._answers.cursor(page, "nextPageToken")
        )
        unwrapped = (self._answers.unwrapped(each, "name") for each in listed)
        return (batch for batch in unwrapped if is_name(batch.get("name"), _BATCHES))

    def _ask(self, call: Callable[..., object], **arguments: Any) -> dict[str, Any]:
        """The service's answer to a call of the SDK's."""
        recorder = self._recorder
        recorder.recording, recorder.status, recorder.body = True, 0, b""
        try:
            with self._errors.translated():
                call(**arguments)
        except ProviderAPIError:
            raise
        except Exception as error:
            if not recorder.status:
                raise
            if recorder.status != _OK:
                raise self._errors.protocol(f"answered {recorder.status} in a form that the SDK cannot read") from error
            # There is an answer: that the SDK cannot read it does not matter here.
        finally:
            recorder.recording = False
        return self._answers.read(recorder.body)

    def _job(self, answer: dict[str, Any]) -> Job:
        """A job from its operation, which leaves out zero counts, an unspecified state, and `done` before the end."""
        batch = self._answers.unwrapped(answer, "name")
        metadata = fields_of(batch.get("metadata"))
        status, word = self._answers.status(metadata.get("state") or "BATCH_STATE_UNSPECIFIED")
        if batch.get("error") and not status.is_final:
            status, word = BatchStatus.FAILED, None
        elif batch.get("done") is True and (word is not None or not metadata.get("state")):
            status, word = BatchStatus.COMPLETED, None  # an operation that is done has ended, whatever it calls that
        counts = _counts(fields_of(metadata.get("batchStats")))
        created_at = _created_at(batch)
        output = _output(batch)
        file, upload = output.get("responsesFile"), fields_of(metadata.get("inputConfig")).get("fileName")
        return Job(
            id=self._answers.name(batch, "name", _BATCHES),
            status=status,
            word=word,
            created_at=created_at or 0.0,
            completed=counts.completed or 0,
            failed=counts.failed or 0,
            unanswered=counts.unanswered,
            expires_at=created_at + _LIFETIME if created_at else None,
            outputs=(file,) if is_name(file, _FILES) else (),
            unnamed=counts.lacks_answers(
                status, has_answers=is_name(file, _FILES) or "inlinedResponses" in output, has_refusals=False
            ),
            label=_label(batch),
            upload=upload if is_name(upload, _FILES) else None,
            rows=count_of(fields_of(metadata.get("batchStats")).get("requestCount")) or None,
            error=self._failure(batch.get("error")) if status is BatchStatus.FAILED else None,
        )

    def _failure(self, error: Any) -> Failure:
        known = error if isinstance(error, dict) else {}
        code = known.get("code")
        return Failure(
            type=f"job_failed_{count_of(code)}" if isinstance(code, int) else "job_failed",
            message=self._errors.why_failed(known.get("message")),
            retryable=code == _RESOURCE_EXHAUSTED,
        )


def _describe(error: errors.APIError) -> Refusal:
    details = _details(error.details)
    kind: type[ProviderAPIError] | None = None
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        kind = CredentialsError  # with the status 400
    elif error.code == 403 and "may not exist" in str(error.message):
        kind = NotFoundError  # how it says that a file is gone
    return Refusal(error.code, error.message, str(error.details), _retry_after(details, error.response), kind)


def _file_name(label: str, number: int) -> str:
    return f"{_FILES}br-{label}-{number}"


def _created_at(batch: dict[str, Any]) -> float | None:
    return moment_of(fields_of(batch.get("metadata")).get("createTime"))


def _label(batch: dict[str, Any]) -> str | None:
    return label_of(fields_of(batch.get("metadata")).get("displayName"))


def _counts(stats: dict[str, Any]) -> Counts:
    """A count that is zero is left out; so only together with others that are there do they say anything."""
    completed, failed = stats.get("successfulRequestCount"), stats.get("failedRequestCount")
    if completed is None and failed is None:
        return Counts(None, None, count_of(stats.get("pendingRequestCount")))
    return Counts.of(stats.get("requestCount"), completed or 0, failed or 0)


def _output(batch: dict[str, Any]) -> dict[str, Any]:
    """Where the results are. The service names it in two places, either of which may be missing, or empty."""
    for place in (batch.get("response"), fields_of(batch.get("metadata")).get("output")):
        output = fields_of(place)
        if output.get("responsesFile") or "inlinedResponses" in output:
            return output
    return {}


def _inlined(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The results that are in the job itself, each with its key where a file of responses has it."""
    rows: Any = _output(batch)
    for _ in range(2):  # a list in an object of the same name
        rows = rows.get("inlinedResponses") if isinstance(rows, dict) else rows
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            yield {"key": fields_of(row.get("metadata")).get("key"), **row}


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
