"""OpenAI's Files and Batches through the official SDK, retries off, answers read leniently."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO

import openai

from ...bounds import Bounds
from ...core import BatchStatus
from ...core.coerce import count_of, label_of, moment_of
from ...core.jobs import Failure, Job, JobSpec, RefusedRow
from ...exceptions import NotFoundError, QueueFullError
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
from .._openai_dialect.rows import URLS
from ..access import Access
from ..base import Rows
from .service import OPENAI, Service

LABEL_KEY = "batch_router_label"
_PAGE = 100
_OK = 200
_BLOCK = 1 << 16
# The service's code for a job whose tokens find no room beside those that wait.
_QUEUE_FULL = "token_limit_exceeded"

# Of the rows that a job was refused for, the road names this many; the service itself names twenty.
_MOST_REFUSED = 1000


class OpenAIClient:
    """See `Client`."""

    def __init__(self, api_key: str, *, base_url: str | None, settings: Settings, service: Service = OPENAI) -> None:
        name = service.name
        self._errors = Errors(name, api_key, openai.APIStatusError, _describe, unanswered=(openai.APIConnectionError,))
        self._answers = Answers(self._errors)
        self._window = service.windows[0]
        self._statuses = service.statuses
        self._is_openai = service is OPENAI
        address = Address(name, base_url or os.environ.get(service.url_variable or "") or service.url)
        self.access = Access(name, address.url, api_key)
        self._clock = ProviderClock()
        http = open_client(
            address,
            timeout=settings.http_timeout,
            most_streamed=settings.of(Bounds).max_answers_bytes,
            hooks=[self._clock.hear],
        )
        # The SDK's own retries would send a second create after a lost answer: two jobs, both paid.
        self._sdk = openai.OpenAI(
            api_key=api_key,
            base_url=address.url,
            timeout=settings.http_timeout,
            max_retries=0,
            http_client=http,
            default_headers=None if service is OPENAI else _without_openais(api_key),
        )

    def upload(self, rows: Rows, spec: JobSpec) -> str:
        """Send the rows as a file named after the label."""
        with self._errors.translated(), rows.open() as stream:
            answer = self._sdk.files.with_raw_response.create(file=(_file_name(spec), stream), purpose="batch")
            file = self._answers.read(answer.http_response.content)
        file = self._answers.unwrapped(file, "id")
        size = count_of(file.get("bytes"))
        if size and size != rows.size and self._is_openai:  # other services may keep them in another form
            raise self._errors.protocol(f"{rows.size} bytes were uploaded, {size} are there")
        return self._answers.name(file, "id")

    def create(self, rows: Rows, spec: JobSpec) -> Job:  # noqa: ARG002 - the rows were uploaded before
        """Create the job with the label in its metadata."""
        window: Any = spec.options.completion_window or self._window  # the SDK knows OpenAI's alone
        with self._errors.translated():
            answer = self._sdk.batches.with_raw_response.create(
                input_file_id=str(spec.upload),
                endpoint=URLS[spec.endpoint],  # type: ignore[arg-type] # the SDK has them as literals
                completion_window=window,
                metadata={LABEL_KEY: spec.label},
                extra_headers=spec.options.all_headers,
            )
            return self._job(self._answers.read(answer.http_response.content))

    def get(self, job_id: str) -> Job:
        """Retrieve the job."""
        with self._errors.translated():
            answer = self._sdk.batches.with_raw_response.retrieve(job_id)
            return self._job(self._answers.read(answer.http_response.content))

    def cancel(self, job_id: str) -> None:
        """Ask for cancellation; a job that has ended already is left as it is."""
        with unless_ended(lambda: self.get(job_id)), self._errors.translated():
            self._sdk.batches.with_raw_response.cancel(job_id)

    def download(self, job: Job, into: BinaryIO) -> None:
        """Stream the output file, then the error file."""
        for file_id in job.outputs:
            lines = LineJoiner(into)
            with self._errors.translated(), self._sdk.files.with_streaming_response.content(file_id) as answer:
                for chunk in answer.iter_bytes(_BLOCK):
                    lines.write(chunk)
            lines.end()

    def list(self, age: float) -> Iterator[Job]:
        """The jobs of the account. Not every service with this wire lists what we wrote into the metadata."""
        return map(self._job, younger_than(age, self._batches(), _created_at, self._clock))

    def delete(self, job: Job) -> None:
        """Delete the output and the error file; a batch itself cannot be deleted."""
        for file_id in job.outputs:
            self.delete_upload(file_id)

    def find_uploads(self, spec: JobSpec, age: float) -> Iterator[str]:
        """Look through the files that are not older than that."""
        files = self._newest_first(self._sdk.files.with_raw_response.list, purpose="batch", order="desc")
        for file in younger_than(age, files, _created_at, self._clock):
            if file.get("filename") == _file_name(spec):
                yield self._answers.name(file, "id")

    def delete_upload(self, upload: str) -> None:
        """Delete the input file."""
        with suppress(NotFoundError), self._errors.translated():
            self._sdk.files.with_raw_response.delete(upload)

    def close(self) -> None:
        """Close the SDK's connections."""
        self._sdk.close()

    def _newest_first(self, list_page: Callable[..., Any], **arguments: str) -> Iterator[dict[str, Any]]:
        def fetch(cursor: str | None) -> dict[str, Any]:
            with self._errors.translated():
                answer = list_page(limit=_PAGE, after=cursor or openai.omit, **arguments)
                return self._answers.read_page(answer.http_response.content, "data")

        def following(page: dict[str, Any], found: list[dict[str, Any]]) -> str | None:
            return self._answers.name(found[-1], "id") if page.get("has_more") and found else None

        return walk_pages(self._errors, fetch, "data", following)

    def _batches(self) -> Iterator[dict[str, Any]]:
        """The jobs of a list; what has no id is none."""
        listed = self._newest_first(self._sdk.batches.with_raw_response.list)
        unwrapped = (self._answers.unwrapped(each, "id") for each in listed)
        return (batch for batch in unwrapped if is_name(batch.get("id")))

    def _job(self, answer: dict[str, Any]) -> Job:
        batch = self._answers.unwrapped(answer, "id")
        status, word = self._answers.status(batch.get("status"), self._statuses)
        named = fields_of(batch.get("request_counts"))
        counts = Counts.of(*map(named.get, ("total", "completed", "failed")))
        output, refusals = batch.get("output_file_id"), batch.get("error_file_id")
        upload = batch.get("input_file_id")
        errors = _errors_of(batch) if status is BatchStatus.FAILED else None
        return Job(
            id=self._answers.name(batch, "id"),
            status=status,
            word=word,
            created_at=_created_at(batch) or 0.0,
            completed=counts.completed or 0,
            failed=counts.failed or 0,
            unanswered=counts.unanswered,
            expires_at=moment_of(batch.get("expires_at")),
            outputs=tuple(file for file in (output, refusals) if is_name(file)),
            unnamed=counts.lacks_answers(status, has_answers=is_name(output), has_refusals=is_name(refusals)),
            label=_label(batch),
            upload=upload if is_name(upload) else None,
            rows=count_of(named.get("total")) or None,
            error=None if errors is None else self._failure(errors),
            refused=() if errors is None else tuple(islice(self._refused(errors), _MOST_REFUSED)),
        )

    def _failure(self, errors: Sequence[dict[str, Any]]) -> Failure:
        first = errors[0] if errors else {}
        code = self._errors.word(first.get("code")) or "job_failed"
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        message = self._errors.why_failed(first.get("message"))
        return Failure(type=code, message=f"{message}{more}", retryable=code == _QUEUE_FULL)

    def _refused(self, errors: Sequence[dict[str, Any]]) -> Iterator[RefusedRow]:
        for error in errors:
            if line := count_of(error.get("line")):  # counted from 1
                message = self._errors.why_failed(error.get("message"))
                yield RefusedRow(row=line - 1, message=message, code=self._errors.word(error.get("code")))


def _without_openais(api_key: str) -> dict[str, str]:
    """The headers that keep what the SDK reads from the environment for OpenAI from another service."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = ["OpenAI-Organization", "OpenAI-Project", *(line.partition(":")[0].strip() for line in lines)]
    kept_back: Any = {name: openai.Omit() for name in names if name.lower() not in ("", "authorization")}
    return {**kept_back, "Authorization": f"Bearer {api_key}"}


def _describe(error: openai.APIStatusError) -> Refusal:
    body = error.body if isinstance(error.body, dict) else {}
    headers = error.response.headers
    # Some were told so by the answer to a create, others by a job that failed.
    is_full = body.get("code") == _QUEUE_FULL or "enqueued token limit" in str(body.get("message")).lower()
    kind = QueueFullError if is_full else None
    return Refusal(error.status_code, body.get("message"), error.response.content, read_retry_after(headers), kind)


def _created_at(listed: dict[str, Any]) -> float | None:
    return moment_of(listed.get("created_at"))


def _file_name(spec: JobSpec) -> str:
    return f"{spec.label}.jsonl"  # the service refuses a batch of a file with another ending


def _label(batch: dict[str, Any]) -> str | None:
    return label_of(fields_of(batch.get("metadata")).get(LABEL_KEY))


def _errors_of(batch: dict[str, Any]) -> list[dict[str, Any]]:
    """Why a job failed; some services have the list without the object around it."""
    errors = batch.get("errors")
    data = errors if isinstance(errors, list) else fields_of(errors).get("data")
    return [error for error in data if isinstance(error, dict)] if isinstance(data, list) else []
