"""Anthropic's Message Batches through the official SDK, retries off, answers read leniently."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, BinaryIO

import anthropic
import httpx2
import msgspec

from ...core import BatchStatus
from ...core.jobs import Job, JobSpec
from ...exceptions import (
    CredentialsError,
    NotFoundError,
    ProtocolError,
    ProviderAPIError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
    UndecidedError,
)
from ..access import Access
from ..answers import Answers, WholeLines, seconds_of
from ..base import Rows, quote_start, read_retry_after
from ..pace import keep_pace
from .codec import read_row_id

NAME = "anthropic"
_PATH = "/v1/messages/batches"

# A job may carry a time stamp this much older than the clock that wrote our intent.
CLOCK_SKEW = 600.0

_BLOCK = 1 << 18
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")

_STATUSES = {
    "in_progress": BatchStatus.IN_PROGRESS,
    "canceling": BatchStatus.CANCELLING,
}

# Most specific first; the first match counts. An overloaded service (529) has not let the request in.
_ERRORS: tuple[tuple[type[anthropic.APIStatusError], type[ProviderAPIError]], ...] = (
    (anthropic.AuthenticationError, CredentialsError),
    (anthropic.PermissionDeniedError, CredentialsError),
    (anthropic.NotFoundError, NotFoundError),
    (anthropic.RateLimitError, RateLimitedError),
    (anthropic.OverloadedError, RateLimitedError),
    (anthropic.RequestTimeoutError, ProviderUnavailableError),
    (anthropic.ConflictError, ProviderUnavailableError),
    (anthropic.InternalServerError, ProviderUnavailableError),
    (anthropic.APIStatusError, RequestRefusedError),
)


class AnthropicClient:
    """See `Client`."""

    def __init__(self, api_key: str, *, base_url: str | None, timeout: float) -> None:
        self._answers = Answers(NAME, api_key)
        # The SDK's own retries would send a second create after a lost answer, with an empty body at that.
        transport = anthropic.DefaultHttpxClient(timeout=timeout, event_hooks={"response": [keep_pace(timeout)]})
        self._sdk = anthropic.Anthropic(
            api_key=api_key, base_url=base_url, timeout=timeout, max_retries=0, http_client=transport
        )
        self.access = Access(NAME, str(self._sdk.base_url), api_key)

    def upload(self, rows: Rows, spec: JobSpec) -> None:
        """Nothing to do: the rows go with `create`."""

    def create(self, rows: Rows, spec: JobSpec) -> Job:  # noqa: ARG002 - the row ids carry the token
        """Create the job; its one request is streamed, never whole in memory."""
        with self._translated(), rows.open() as stream:
            answer = self._sdk.post(
                _PATH,
                content=_body(stream, rows.size),
                cast_to=httpx2.Response,
                options={"headers": {"content-length": str(_body_size(rows.size))}},
            )
            return self._job(self._answers.read(answer.content))

    def find(self, spec: JobSpec) -> Job | None:
        """Walk the newest jobs back to the time of the intent.

        A job has no label. What tells it are the ids of its rows, and they are shown only once it has ended; until
        then every job with as many rows may be the one.

        Raises:
            UndecidedError: jobs that may be the one are still running.
        """
        running = []
        for batch in self._newest_first():
            job = self._job(batch)
            if job.created_at < spec.since - CLOCK_SKEW:
                break
            if job.id in spec.taken or sum(_counts(batch)) != spec.rows:
                continue
            if not job.status.is_final:
                running.append(job.id)
            elif self._first_row_id(job).startswith(f"{spec.token}-"):
                return job
        if running:
            message = f"the job may be one of {len(running)} that still run ({running[0]}); it is known when they end"
            raise UndecidedError(NAME, 0, message)
        return None

    def get(self, job_id: str) -> Job:
        """Retrieve the job."""
        with self._translated():
            answer = self._sdk.messages.batches.with_raw_response.retrieve(job_id)
            return self._job(self._answers.read(answer.http_response.content))

    def cancel(self, job_id: str) -> None:
        """Ask for cancellation; a job that has ended already is left as it is."""
        try:
            with self._translated():
                self._sdk.messages.batches.with_raw_response.cancel(job_id)
        except ProviderAPIError as error:
            if error.status_code not in (400, 409) or not self.get(job_id).status.is_final:
                raise

    def download(self, job: Job, into: BinaryIO) -> None:
        """Stream the results."""
        lines = WholeLines(into)
        with self._translated(), self._results(job) as answer:
            for chunk in answer.iter_bytes(_BLOCK):
                lines.write(chunk)
        lines.end()

    def list(self, limit: int) -> Iterator[Job]:
        """Walk the jobs back from the newest. The ids of their rows are their labels, shown once they have ended."""
        return islice((self._labelled(self._job(batch)) for batch in self._newest_first()), limit)

    def _labelled(self, job: Job) -> Job:
        if not job.status.is_final or not job.outputs:
            return job
        try:
            token = self._first_row_id(job).rpartition("-")[0]
        except (NotFoundError, ProtocolError):  # results are kept for a month
            return job
        return msgspec.structs.replace(job, token=token)

    def delete(self, job: Job) -> None:
        """Delete the job with its results; the service refuses that while it runs."""
        with suppress(NotFoundError), self._translated():
            self._sdk.messages.batches.with_raw_response.delete(job.id)

    def find_uploads(self, spec: JobSpec) -> tuple[str, ...]:  # noqa: ARG002
        """None: nothing is uploaded."""
        return ()

    def delete_upload(self, upload: str) -> None:
        """Nothing to do: nothing is uploaded."""

    def close(self) -> None:
        """Close the SDK's connections."""
        self._sdk.close()

    def _newest_first(self) -> Iterator[dict[str, Any]]:
        after: str | anthropic.Omit = anthropic.omit
        while True:
            with self._translated():
                answer = self._sdk.messages.batches.with_raw_response.list(limit=100, after_id=after)
                page = self._answers.read(answer.http_response.content)
            batches = [batch for batch in page.get("data") or () if isinstance(batch, dict)]
            yield from batches
            if not page.get("has_more") or not batches:
                return
            after = self._answers.text(batches[-1], "id")

    @contextmanager
    def _results(self, job: Job) -> Iterator[httpx2.Response]:
        """The answer that the results come in. The SDK's own reader takes rows apart at more than line ends."""
        if not job.outputs:
            raise ProtocolError(NAME, 200, f"{job.id} has ended, and does not say where its results are")
        url = httpx2.URL(job.outputs[0])
        # The SDK sends the key along, whatever host the address names.
        if (url.is_absolute_url or url.host) and _origin(url) != _origin(self._sdk.base_url):
            raise ProtocolError(
                NAME, 200, f"the results of {job.id} are said to be at {quote_start(url.host)}, not there"
            )
        with self._sdk.get(
            str(url),
            cast_to=object,
            options={"headers": {"accept": "application/binary"}},
            stream=True,
            stream_cls=anthropic.Stream[object],
        ) as answer:
            yield answer.response

    def _first_row_id(self, job: Job) -> str:
        start = bytearray()
        with self._translated(), self._results(job) as answer:
            for chunk in answer.iter_bytes(_BLOCK):
                start += chunk
                if b"\n" in chunk:
                    break
        row_id = read_row_id(bytes(start.partition(b"\n")[0]))
        if row_id is None:
            raise ProtocolError(NAME, 200, f"the first result of {job.id} does not say which row it belongs to")
        return row_id

    def _job(self, batch: dict[str, Any]) -> Job:
        word = self._answers.text(batch, "processing_status")
        status = _ended_as(batch) if word == "ended" else _STATUSES.get(word)
        if status is None:
            raise self._answers.unknown_status(word)
        _, succeeded, errored, _, _ = _counts(batch)
        url = batch.get("results_url")
        return Job(
            id=self._answers.text(batch, "id"),
            status=status,
            created_at=seconds_of(batch.get("created_at")) or 0,
            completed=succeeded,
            failed=errored,
            expires_at=seconds_of(batch.get("expires_at")),
            outputs=(url,) if isinstance(url, str) else (),
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The SDK's errors as ours."""
        try:
            yield
        except anthropic.APIStatusError as error:
            raise self._status_error(error) from error
        except (anthropic.APIConnectionError, httpx2.HTTPError) as error:  # the latter while an answer is streamed
            raise self._answers.lost(error) from error

    def _status_error(self, error: anthropic.APIStatusError) -> ProviderAPIError:
        kind = next(ours for theirs, ours in _ERRORS if isinstance(error, theirs))
        body = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error")
        message = inner.get("message") if isinstance(inner, dict) else None
        return kind(
            NAME,
            error.status_code,
            self._answers.words(message, error.response.content),
            retry_after=read_retry_after(error.response.headers),
            ambiguous=kind is ProviderUnavailableError,
        )


_HEAD, _TAIL = b'{"requests":[', b"]}"


def _body(rows: BinaryIO, size: int) -> Iterator[bytes]:
    r"""The request's body: the lines of the file, with a comma for each `\n` but the last."""
    yield _HEAD
    left = size - 1
    while left > 0 and (block := rows.read(min(_BLOCK, left))):
        left -= len(block)
        yield block.replace(b"\n", b",")
    yield _TAIL


def _body_size(size: int) -> int:
    return len(_HEAD) + size - 1 + len(_TAIL)


def _ended_as(batch: dict[str, Any]) -> BatchStatus:
    """Ended does not say how: that is in the counts."""
    _, _, _, canceled, expired = _counts(batch)
    if canceled and batch.get("cancel_initiated_at"):
        return BatchStatus.CANCELLED
    return BatchStatus.EXPIRED if expired else BatchStatus.COMPLETED


def _counts(batch: dict[str, Any]) -> tuple[int, ...]:
    counts = batch.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    return tuple(value if isinstance(value := counts.get(name), int) else 0 for name in _COUNTS)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
