"""What the clients over HTTP share: statuses, `Retry-After`, quotations, pages, late cancels, requests given up."""

import io
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from operator import itemgetter
from typing import Any

import httpx2
import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Job
from batch_router.exceptions import (
    CredentialsError,
    NotFoundError,
    ProtocolError,
    ProviderAPIError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
)
from batch_router.providers._http import (
    Address,
    Answers,
    Errors,
    LineJoiner,
    ProviderClock,
    Refusal,
    open_client,
    unless_ended,
    walk_pages,
    younger_than,
)
from batch_router.providers._http.errors import quote_start
from batch_router.retry_after import read_retry_after

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
KEY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        ("2.5", 2.5),
        (" 30 ", 30),
        ("86400", 86400),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 14:00:10 +0200", 10),
        ("Thu, 01 Jan 2026 11:59:59 GMT", None),  # past
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("", None),
        ("soon", None),
        ("Thu, 32 Jan 2026 12:00:00 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:00 GMT", None),
        ("Thu, 01 Jan 2026 12:00:10 -0000", None),  # a date that does not say where
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    """Seconds and dates become seconds from now; nonsense and the past become None."""
    assert read_retry_after({"retry-after": value}, NOW) == seconds


def test_a_date_is_reckoned_by_the_sender_s_clock() -> None:
    """However wrong ours is; ours counts only where the sender does not give his."""
    asked = {"retry-after": "Thu, 01 Jan 2026 15:00:30 GMT"}
    assert read_retry_after(asked | {"date": "Thu, 01 Jan 2026 15:00:00 GMT"}, NOW) == 30
    assert read_retry_after(asked, NOW) == 3 * 3600 + 30
    assert read_retry_after(asked | {"date": "today"}, NOW) is None


def test_there_may_be_no_retry_after() -> None:
    """Most answers have no such header."""
    assert read_retry_after({"x-request-id": "1"}, NOW) is None


@pytest.mark.parametrize("body", [f"Incorrect key {KEY}.", f"Incorrect key {KEY}.".encode(), f"{KEY} {KEY}"])
def test_the_key_is_not_quoted(body: str | bytes) -> None:
    """A provider that repeats the key does not bring it into our errors."""
    quoted = quote_start(body, KEY)
    assert KEY not in quoted
    assert "***" in quoted


@pytest.mark.parametrize("before", range(170, 205, 5))
def test_a_key_at_the_cut_is_not_quoted(before: int) -> None:
    """Not even the beginning of a key is left where the quotation ends."""
    assert "canary" not in quote_start("x" * before + KEY + "y" * 100, KEY)


@pytest.mark.parametrize(
    ("body", "quoted"),
    [
        ("<html>", "'<html>'"),
        (b"\xff\x00", r"'\ufffd\x00'".replace(r"\ufffd", "\ufffd")),
        ("a\nb\x1b[2J", r"'a\nb\x1b[2J'"),
        ("", "''"),
        ("z" * 1000, f"'{'z' * 200}'"),
    ],
)
def test_answers_are_quoted_safely(body: str | bytes, quoted: str) -> None:
    """A quotation is one short line, whatever the bytes."""
    assert quote_start(body) == quoted
    assert quote_start(body, KEY) == quoted
    assert quote_start(body, "") == quoted


class SDKError(Exception):
    """What an SDK raises for an answer that is not a success."""


def errors_of(refusal: Refusal, **arguments: Any) -> Errors[SDKError]:
    return Errors("p", KEY, SDKError, lambda _: refusal, **arguments)


@pytest.mark.parametrize(
    ("status", "kind", "ambiguous"),
    [
        (302, ProtocolError, True),
        (400, RequestRefusedError, False),
        (401, CredentialsError, False),
        (402, RequestRefusedError, True),
        (403, CredentialsError, False),
        (404, NotFoundError, False),
        (405, RequestRefusedError, True),
        (408, ProviderUnavailableError, True),
        (409, ProviderUnavailableError, True),
        (410, NotFoundError, True),
        (413, RequestRefusedError, False),
        (422, RequestRefusedError, False),
        (429, RateLimitedError, False),
        (499, ProviderUnavailableError, True),
        (500, ProviderUnavailableError, True),
        (529, ProviderUnavailableError, True),
    ],
)
def test_a_status_has_one_meaning(status: int, kind: type[ProviderAPIError], ambiguous: bool) -> None:
    """Every status becomes one error of ours; where the provider may have acted on the request, it is ambiguous."""
    errors = errors_of(Refusal(status, f"bad key {KEY}", b"", 7.0))
    with pytest.raises(ProviderAPIError) as caught, errors.translated():
        raise SDKError
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.ambiguous, caught.value.retry_after) == (status, ambiguous, 7.0)
    assert caught.value.message == "bad key ***"


def test_a_provider_may_mean_something_else_by_a_status() -> None:
    """Its own table wins over the common one, and what its answer says wins over both."""
    own = {529: RateLimitedError}
    assert type(errors_of(Refusal(529, None, b"", None), kinds=own).of_refusal(Refusal(529, None, b"", None))) is (
        RateLimitedError
    )
    explicit = Refusal(529, None, b"", None, CredentialsError)
    assert type(errors_of(explicit, kinds=own).of_refusal(explicit)) is CredentialsError


@pytest.mark.parametrize(
    ("error", "ambiguous"),
    [(httpx2.ConnectError("x"), False), (httpx2.ConnectTimeout("x"), False), (httpx2.ReadTimeout("x"), True)],
)
def test_a_request_that_was_never_sent_is_not_ambiguous(error: Exception, ambiguous: bool) -> None:
    """Without a connection the provider cannot have acted; also where the SDK wraps the error in one of its own."""
    wrapped = RuntimeError("no connection")
    wrapped.__cause__ = error
    errors = errors_of(Refusal(0, None, b"", None), unanswered=(RuntimeError,))
    for each in (error, wrapped):
        with pytest.raises(ProviderUnavailableError) as caught, errors.translated():
            raise each
        assert caught.value.ambiguous is ambiguous


def test_what_no_server_has_seen_is_refused_at_once() -> None:
    """A request that cannot be sent as HTTP is a mistake here: neither an outage, nor worth a day of tries."""
    errors = errors_of(Refusal(0, None, b"", None))
    with pytest.raises(RequestRefusedError, match="cannot be sent as HTTP") as caught, errors.translated():
        raise httpx2.LocalProtocolError("Illegal header value")
    assert (caught.value.ambiguous, caught.value.retryable) == (False, False)


def test_what_is_no_sdk_error_passes() -> None:
    """A bug of ours is not dressed as the provider's."""
    with pytest.raises(ZeroDivisionError), errors_of(Refusal(500, None, b"", None)).translated():
        _ = 1 / 0


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b"", b'"text"', b"\xff"])
def test_an_answer_is_an_object(content: bytes) -> None:
    """Anything else is a protocol error that quotes it, and may hide a job."""
    with pytest.raises(ProtocolError) as caught:
        Answers(errors_of(Refusal(200, None, b"", None))).read(content)
    assert caught.value.ambiguous


def test_pages_are_walked_to_the_last() -> None:
    """Each page names the next; what is no object is left out."""
    pages: dict[str | None, dict[str, Any]] = {
        None: {"data": [{"id": 1}, 5], "next": "b"},
        "b": {"data": None, "next": "c"},
        "c": {"data": [{"id": 2}]},
    }
    errors = errors_of(Refusal(200, None, b"", None))
    walked = walk_pages(errors, lambda cursor: pages[cursor], "data", lambda page, _: page.get("next"))
    assert list(walked) == [{"id": 1}, {"id": 2}]


def clock_at(now: float) -> ProviderClock:
    """A clock whose provider's last answer told this time."""
    clock = ProviderClock()
    clock.hear(httpx2.Response(200, headers={"date": formatdate(now, usegmt=True)}))
    return clock


def ages(listed: Iterator[float], age: float, now: float) -> list[float]:
    """The times that a search finds among those that are listed."""
    return [each["at"] for each in younger_than(age, ({"at": at} for at in listed), itemgetter("at"), clock_at(now))]


def test_a_search_ends_at_what_is_older_than_any_clock_explains() -> None:
    """Ten minutes more than the age still count; behind many older ones in a row nothing is asked for."""
    listed = iter([5001.0, 4401.0, *[4398.0] * 300, 9999.0])
    assert ages(listed, 5000, 10_000) == [5001.0, 4401.0]
    assert next(listed) == 9999.0


def test_a_search_finds_what_is_newer_behind_older_ones() -> None:
    """Not every service lists the newest first, and a job that is not found is created again."""
    assert ages(iter([1.0, 2.0, 5001.0]), 5000, 10_000) == [5001.0]


def test_an_age_is_counted_back_from_the_providers_time() -> None:
    """Whatever our clock says; where ours is behind the provider's, or an answer has no time, ours counts."""
    assert 9_999 < clock_at(10_000).now() < 10_010
    ours = time.time()
    assert abs(clock_at(ours + 7200).now() - ours) < 10
    clock = clock_at(10_000)
    for headers in ({}, {"date": "soon"}, {"date": "Thu, 99 Foo 1999 00:00:00 GMT"}):
        clock.hear(httpx2.Response(200, headers=headers))
    assert clock.now() < 10_010


@pytest.mark.parametrize("status", [400, 409])
def test_a_cancel_that_comes_too_late_is_fine(status: int) -> None:
    """The refusal passes only if the job has ended, and for no other status."""

    def cancel(job_status: BatchStatus, refused_with: int) -> None:
        with unless_ended(lambda: Job(id="j", status=job_status, created_at=0)):
            raise RequestRefusedError("p", refused_with, "no")

    cancel(BatchStatus.COMPLETED, status)
    for job_status, other in ((BatchStatus.IN_PROGRESS, status), (BatchStatus.COMPLETED, 403)):
        with pytest.raises(RequestRefusedError):
            cancel(job_status, other)


def test_files_of_answers_do_not_run_together() -> None:
    """A last line without its end gets one; an empty file leaves no empty line."""
    into = io.BytesIO()
    for file in ([b"a\nb", b"c"], [], [b"d\n"], [b"e"]):
        lines = LineJoiner(into)
        for chunk in file:
            lines.write(chunk)
        lines.end()
    assert into.getvalue() == b"a\nbc\nd\ne\n"


def test_a_request_that_was_given_up_is_not_sent_on() -> None:
    """A service that takes the rows too late gets an error instead of the rest: the system drops what it holds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address("p", f"http://127.0.0.1:{server.getsockname()[1]}")
        with open_client(address, timeout=0.3) as client, pytest.raises(httpx2.TimeoutException):
            client.post("/rows", content=b"x" * 100_000)
        connection, _ = server.accept()
        with connection, pytest.raises(ConnectionResetError):
            all(iter(lambda: connection.recv(65536), b""))
