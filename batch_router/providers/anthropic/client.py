"""Anthropic's Message Batches through the official SDK, retries off, answers read leniently."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import anthropic
import httpx2

from ...bounds import Bounds
from ...core import BatchStatus
from ...core.coerce import count_of, moment_of
from ...core.jobs import Failure, Job, JobSpec, RefusedRow, RowsRefusedError
from ...exceptions import NotFoundError, ProtocolError, RateLimitedError, RequestRefusedError
from ...retry_after import read_retry_after
from ...settings import Settings
from .._http import (
    Address,
    Answers,
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
from .._http.transport import MOST_BYTES
from ..access import Access
from ..base import Rows
from .codec import read_row_id

NAME = "anthropic"
# Where the SDK sends to, if it is given no address.
_URL_VARIABLE, _URL = "ANTHROPIC_BASE_URL", "https://api.anthropic.com"
#: The version of the API that this client and the codec are written for; the SDK 2.12 asks for it, too. A later SDK may
#: ask for another one, which takes other parameters and answers otherwise. A batch may choose one by its `headers`.
API_VERSION = "2026-10-21"
_PATH = "/v1/messages/batches"
_PAGE = 100
# An overloaded service asks for a pause.
_OVERLOADED = 529
_BLOCK = 1 << 18
# The type of the service's error for a request that it does not take.
_INVALID = "invalid_request_error"
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class AnthropicClient:
    """See `UnlabelledClient`."""

    def __init__(self, api_key: str, *, base_url: str | None, settings: Settings) -> None:
        self._errors = Errors(
            NAME,
            api_key,
            anthropic.APIStatusError,
            _describe,
            unanswered=(anthropic.APIConnectionError,),
            kinds={_OVERLOADED: RateLimitedError},
        )
        self._answers = Answers(self._errors)
        address = Address(NAME, base_url or os.environ.get(_URL_VARIABLE) or _URL)
        self.access = Access(NAME, address.url, api_key)
        self._clock = ProviderClock()
        http = open_client(
            address,
            timeout=settings.http_timeout,
            most_streamed=settings.of(Bounds).max_answers_bytes,
            hooks=[self._clock.hear],
        )
        # The SDK's own retries would send a second create after a lost answer, with an empty body at that.
        self._sdk = anthropic.Anthropic(
            api_key=api_key,
            base_url=address.url,
            timeout=settings.http_timeout,
            max_retries=0,
            http_client=http,
            default_headers={"anthropic-version": API_VERSION},
        )

    def upload(self, rows: Rows, spec: JobSpec) -> None:
        """Nothing to do: the rows go with `create`."""

    def create(self, rows: Rows, spec: JobSpec) -> Job:
        """Create the job; its one request is streamed, never whole in memory.

        Raises:
            RowsRefusedError: the service names rows that it does not take.
        """
        with _rows_named(), self._errors.translated(), rows.open() as stream:
            answer = self._sdk.post(
                _PATH,
                content=_body(stream, rows.size),
                cast_to=httpx2.Response,
                options={"headers": {**spec.options.all_headers, "content-length": str(_body_size(rows.size))}},
            )
            return self._job(self._answers.read(answer.content))

    def get(self, job_id: str) -> Job:
        """Retrieve the job."""
        with self._errors.translated():
            answer = self._sdk.messages.batches.with_raw_response.retrieve(job_id)
            return self._job(self._answers.read(answer.http_response.content))

    def cancel(self, job_id: str) -> None:
        """Ask for cancellation; a job that has ended already is left as it is."""
        with unless_ended(lambda: self.get(job_id)), self._errors.translated():
            self._sdk.messages.batches.with_raw_response.cancel(job_id)

    def download(self, job: Job, into: BinaryIO) -> None:
        """Stream the results."""
        lines = LineJoiner(into)
        with self._errors.translated(), self._results(job) as answer:
            for chunk in answer.iter_bytes(_BLOCK):
                lines.write(chunk)
        lines.end()

    def list(self, age: float) -> Iterator[Job]:
        """The jobs of the account, without labels."""
        return map(self._job, younger_than(age, self._newest_first(), _created_at, self._clock))

    def read_label(self, job: Job) -> str | None:
        """The ids of a job's rows begin with its label; they are shown once it has ended."""
        try:
            return self._first_row_id(job).rpartition("-")[0]
        except (NotFoundError, ProtocolError):
            return None if self._is_there(job) else ""

    def _is_there(self, job: Job) -> bool:
        try:
            self.get(job.id)
        except NotFoundError:
            return False
        return True

    def delete(self, job: Job) -> None:
        """Delete the job with its results; the service refuses that while it runs."""
        with suppress(NotFoundError), self._errors.translated():
            self._sdk.messages.batches.with_raw_response.delete(job.id)

    def find_uploads(self, spec: JobSpec, age: float) -> tuple[str, ...]:  # noqa: ARG002
        """None: nothing is uploaded."""
        return ()

    def delete_upload(self, upload: str) -> None:
        """Nothing to do: nothing is uploaded."""

    def close(self) -> None:
        """Close the SDK's connections."""
        self._sdk.close()

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        def fetch(cursor: str | None) -> dict[str, Any]:
            with self._errors.translated():
                batches = self._sdk.messages.batches.with_raw_response
                answer = batches.list(limit=_PAGE, after_id=cursor or anthropic.omit)
                return self._answers.read_page(answer.http_response.content, "data")

        def following(page: dict[str, Any], found: list[dict[str, Any]]) -> str | None:
            return self._answers.name(found[-1], "id") if page.get("has_more") and found else None

        listed = walk_pages(self._errors, fetch, "data", following)
        unwrapped = (self._answers.unwrapped(each, "id") for each in listed)
        return (batch for batch in unwrapped if is_name(batch.get("id")))

    @contextmanager
    def _results(self, job: Job) -> Iterator[httpx2.Response]:
        """The answer that the results come in, from below the base URL.

        A gateway passes `results_url` on as the service wrote it: with the service's own host, which the key for the
        gateway does not belong to. The SDK's own reader takes rows apart at more than line ends.
        """
        with self._sdk.get(
            f"{_PATH}/{job.id}/results",
            cast_to=object,
            options={"headers": {"accept": "application/binary"}},
            stream=True,
            stream_cls=anthropic.Stream[object],
        ) as answer:
            yield answer.response

    def _first_row_id(self, job: Job) -> str:
        start = bytearray()
        with self._errors.translated(), self._results(job) as answer:
            for chunk in answer.iter_bytes(_BLOCK):
                start += chunk
                if b"\n" in chunk or len(start) > MOST_BYTES:
                    break
        row_id = read_row_id(bytes(start.partition(b"\n")[0]))
        if row_id is None:
            raise self._errors.protocol(f"the first result of {job.id} does not say which row it belongs to")
        return row_id

    def _job(self, answer: dict[str, Any]) -> Job:
        batch = self._answers.unwrapped(answer, "id")
        status, word = self._answers.status(batch.get("processing_status", batch.get("status")))
        counts = _counts(batch)
        created_at, expires_at = _created_at(batch), moment_of(batch.get("expires_at"))
        return Job(
            id=self._answers.name(batch, "id"),
            status=_ended_as(batch, counts) if status is BatchStatus.COMPLETED else status,
            word=word,
            created_at=created_at or 0.0,
            completed=counts.get("succeeded", 0),
            failed=counts.get("errored", 0),
            unanswered=_unanswered(counts),
            rows=sum(counts.values()) or None,
            expires_at=expires_at,
            error=self._failure(batch) if status is BatchStatus.FAILED else None,
        )

    def _failure(self, batch: dict[str, Any]) -> Failure:
        """The service's own jobs do not fail; those of a gateway may."""
        error = fields_of(batch.get("error"))
        return Failure(type="job_failed", message=self._errors.why_failed(error.get("message")))


def _describe(error: anthropic.APIStatusError) -> Refusal:
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    message = inner.get("message") if isinstance(inner, dict) else None
    return Refusal(error.status_code, message, error.response.content, read_retry_after(error.response.headers))


# How the service names a row that it does not take: `requests.3.params.max_tokens: Field required`.
_ROW = re.compile(r"\brequests[.\[](\d{1,6})\]?[.:]?\s*")


@contextmanager
def _rows_named() -> Iterator[None]:
    """Raises a refusal that names rows as one of these rows."""
    try:
        yield
    except RequestRefusedError as error:
        found = list(_ROW.finditer(error.message))
        if error.ambiguous or not found:
            raise
        ends = [each.start() for each in found[1:]] + [None]
        words = [error.message[each.end() : end].strip(" ,;") for each, end in zip(found, ends, strict=True)]
        rows = [
            RefusedRow(row=int(each[1]), message=said, code=_INVALID) for each, said in zip(found, words, strict=True)
        ]
        raise RowsRefusedError(error.provider, error.status_code, error.message, rows) from None


def _created_at(batch: dict[str, Any]) -> float | None:
    return moment_of(batch.get("created_at"))


_HEAD, _TAIL = b'{"requests":[', b"]}"


def _body(rows: BinaryIO, size: int) -> Iterator[bytes]:
    r"""The request's body: the lines of the file, with a comma for each `\n` but the last."""
    yield _HEAD
    left = size - 1
    while left > 0 and (block := rows.read(min(_BLOCK, left))):
        left -= len(block)
        yield block.replace(b"\n", b",")
    rows.read(1)  # the last `\n`: whether the rest may still be sent
    yield _TAIL


def _body_size(size: int) -> int:
    return len(_HEAD) + size - 1 + len(_TAIL)


def _ended_as(batch: dict[str, Any], counts: dict[str, int]) -> BatchStatus:
    """Ended does not say how: that is in the counts."""
    if counts.get("canceled") and batch.get("cancel_initiated_at"):
        return BatchStatus.CANCELLED
    return BatchStatus.EXPIRED if counts.get("expired") else BatchStatus.COMPLETED


def _counts(batch: dict[str, Any]) -> dict[str, int]:
    """Those that are there."""
    named = fields_of(batch.get("request_counts"))
    counts = {name: count_of(named.get(name)) for name in _COUNTS}
    return {name: count for name, count in counts.items() if count is not None}


def _unanswered(counts: dict[str, int]) -> int | None:
    if not {"succeeded", "errored"} <= counts.keys():
        return None
    return sum(counts.values()) - counts["succeeded"] - counts["errored"]
