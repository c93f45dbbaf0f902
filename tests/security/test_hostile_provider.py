"""A hostile provider reaches no other host, and its words are text.

The official SDKs over real HTTP, against servers that do what a provider never should.
"""

import io
import json
import traceback
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from batch_router.exceptions import (
    ProtocolError,
    ProviderAPIError,
    ProviderUnavailableError,
    RequestRefusedError,
)
from batch_router.providers._http import Address, open_client
from batch_router.providers._http.refused import NotSentError
from tests.file_rows import FileRows

from .hostile_server import Asked, HostileServer, reply
from .provider_calls import (
    CALLS,
    KEY,
    NAMES,
    PROMPT,
    PROVIDERS,
    SILENT,
    call,
    client_of,
    job_answer,
    job_of,
    says,
    spec_of,
)


@pytest.fixture
def rows(tmp_path: Path) -> FileRows:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": PROMPT}) + "\n")
    return FileRows(path)


# --- to no other host -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_call_follows_a_redirect(provider: str, rows: FileRows) -> None:
    """Of no kind, to no other host: nothing reaches it, and the error says what happened and what to do."""
    status = 0
    with (
        HostileServer(lambda _: reply()) as other,
        HostileServer(lambda asked: reply(status, b"", location=f"{other.url}{asked.path}")) as server,
    ):
        client = client_of(provider, server.url)
        for name, status in product(CALLS, (301, 302, 303, 307, 308)):
            if (provider, name) in SILENT:
                continue
            with pytest.raises(ProtocolError) as caught:
                call(name, provider, client, rows)
            assert f"answered {status}, a redirect to '{other.url}" in str(caught.value)
            assert "set the base URL to that of the API itself" in str(caught.value)
            assert caught.value.ambiguous  # a job that is being created may exist
    assert server.asked
    assert other.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_googles_downloads_may_lie_elsewhere_at_the_same_service(status: int) -> None:
    """Google's service downloads by a redirect: to `/download/v1beta/...`, which wants the key, too."""

    def answer(asked: Asked) -> bytes:
        if asked.path.startswith("/v1beta/"):
            return reply(status, b"<html>", location=f"/download{asked.path}")
        return reply(200, b'{"key": "t-0"}\n')

    answers = io.BytesIO()
    with HostileServer(answer) as server:
        client_of("google", server.url).download(job_of("google"), answers)
    assert answers.getvalue() == b'{"key": "t-0"}\n'
    path = "/v1beta/files/2:download?alt=media"
    assert [asked.path for asked in server.asked] == [path, f"/download{path}"]
    assert all(KEY.encode() in asked.head for asked in server.asked)


@pytest.mark.parametrize(
    "location", ["/", "/v1", "/api/v1/../x", "/api/v1/%2e%2e/x", "//[", "http://127.0.0.1:1/api/v1/x"]
)
def test_no_download_is_redirected_out_of_the_base_url(location: str) -> None:
    """What Google's service redirects a download to lies below the base URL, or is not asked."""
    with HostileServer(lambda _: reply(302, b"", location=location)) as server:
        client = client_of("google", f"{server.url}/api/v1")
        with pytest.raises(ProtocolError, match="a redirect to"):
            client.download(job_of("google"), io.BytesIO())
    assert len(server.asked) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_other_call_follows_a_redirect_within_the_service(provider: str, rows: FileRows) -> None:
    """Rows and creates are sent once, to one place."""
    for name in CALLS:
        if (provider, name) in SILENT or (provider, name) == ("google", "download"):
            continue
        with (
            HostileServer(lambda asked: reply(307, b"", location=f"/v1{asked.path}")) as server,
            pytest.raises(ProtocolError, match="a redirect to"),
        ):
            call(name, provider, client_of(provider, server.url), rows)
        assert len({asked.path for asked in server.asked}) == len(server.asked)


def test_rows_go_to_no_upload_url_of_another_host(rows: FileRows) -> None:
    """Google's service names the URL that the rows are sent to."""
    with HostileServer(lambda _: reply(x_goog_upload_status="final")) as other:

        def start(asked: Asked) -> bytes:
            if asked.method == "GET":
                return reply(404)
            return reply(x_goog_upload_url=f"{other.url}/upload?upload_id=1", x_goog_upload_status="active")

        with HostileServer(start) as server, pytest.raises(ProviderAPIError):
            client_of("google", server.url).upload(rows, spec_of("google"))
    assert other.asked == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_answers_are_fetched_from_no_other_host(scheme: str) -> None:
    """Anthropic's service names the URL that the answers are at: they come from below the base URL."""
    with (
        HostileServer(lambda _: reply()) as other,
        HostileServer(
            lambda asked: reply(200, b'{"custom_id":"t-0"}') if "/results" in asked.path else ended
        ) as server,
    ):
        url = f"{scheme}://127.0.0.1:{other.port}/results"
        ended = says(job_answer("anthropic", results_url=url))(Asked("", "", b"", b""))
        client = client_of("anthropic", server.url)
        answers = io.BytesIO()
        client.download(client.get("msgbatch_1"), answers)
    assert answers.getvalue() == b'{"custom_id":"t-0"}\n'
    assert server.asked[-1].path == "/v1/messages/batches/msgbatch_1/results"
    assert other.asked == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("way", ["/../other", "/%2e%2e/other", "/a//b", "/a/%2e%2e%2fb", ""])
def test_no_path_leaves_the_api(provider: str, way: str) -> None:
    """A base URL may be one folder of a host; what would leave it, or end elsewhere in it, is not sent."""
    with HostileServer(lambda _: reply()) as server:
        address = Address(provider, f"{server.url}/api/v1")
        http = open_client(address, timeout=60)
        with pytest.raises(NotSentError, match="is not one below the base URL"):
            http.send(http.build_request("GET", f"{server.url}/api/v1{way}"))
        assert http.get("files/x.y:download?a=../b//c").status_code == 200
    assert [asked.path for asked in server.asked] == ["/api/v1/files/x.y:download?a=../b//c"]


# --- names that become URLs -----------------------------------------------------------------------------------------

HOSTILE_NAMES = ("../../other", "..", "a/../b", "a/b", "a%2f..", "a?b", "a#b", "a b", "", "x" * 1001, "\x1b[2J", "a\n")


@pytest.mark.parametrize(
    ("provider", "folder", "field"), [("openai", "", "id"), ("anthropic", "", "id"), ("google", "batches/", "name")]
)
def test_the_name_of_a_job_is_no_way_elsewhere(provider: str, folder: str, field: str) -> None:
    """A name that would change the path of a URL is refused, and goes out in none."""
    name = ""
    with HostileServer(lambda asked: says(job_answer(provider, **{field: folder + name}))(asked)) as server:
        client = client_of(provider, server.url)
        for name in HOSTILE_NAMES:  # noqa: B007 - the server says it
            server.asked.clear()
            with pytest.raises(ProtocolError, match=r"a name that is not one|without a usable") as caught:
                client.get(str(NAMES[provider][0]))
            assert len(server.asked) == 1
            assert len(str(caught.value)) < 400
            assert "\x1b" not in str(caught.value)
        name = "a-Z_0.9"
        assert client.get(str(NAMES[provider][0]))


NAMED: list[tuple[str, str, Callable[[str], dict[str, Any]]]] = [
    ("openai", "", lambda name: {"output_file_id": name}),
    ("openai", "", lambda name: {"output_file_id": "", "error_file_id": name}),
    ("google", "files/", lambda name: {"response": {"responsesFile": name}}),
]


@pytest.mark.parametrize(("provider", "folder", "fields"), NAMED)
def test_the_name_of_a_file_is_no_way_elsewhere(
    provider: str, folder: str, fields: Callable[[str], dict[str, Any]]
) -> None:
    """A name that would change the path of a URL is none: the job has named no file, and is known."""
    name = ""
    with HostileServer(lambda asked: says(job_answer(provider, **fields(folder + name)))(asked)) as server:
        client = client_of(provider, server.url)
        for name in HOSTILE_NAMES:  # noqa: B007 - the server says it
            job = client.get(str(NAMES[provider][0]))
            assert (job.outputs, job.unnamed) == ((), True)
        name = "a-Z_0.9"
        assert client.get(str(NAMES[provider][0])).outputs == (folder + name,)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_list_ends(provider: str) -> None:
    """Also where each page says that the next one is one that was there before; a cursor is no text of any kind."""
    pages = {"data": [job_answer(provider)], "has_more": True, "operations": [job_answer(provider)]}
    cursor = "again"
    with HostileServer(lambda asked: says({**pages, "nextPageToken": cursor})(asked)) as server:
        client = client_of(provider, server.url)
        with pytest.raises(ProtocolError, match="twice"):
            list(client.list(100))
        assert len([asked for asked in server.asked if "/results" not in asked.path]) == 2
        if provider == "google":
            cursor = "a\x1bb"
            with pytest.raises(ProtocolError, match="a cursor that is not one"):
                list(client.list(100))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("odd", ["many", -1, 10**19, 1.5, True, None, [], {}, "9" * 5000, float(10**300)])
def test_odd_counts_and_times_are_none(provider: str, odd: Any) -> None:
    """A job whose numbers are none is still a job."""
    fields: dict[str, Any] = {
        "openai": {"request_counts": {"completed": odd, "failed": odd}, "created_at": odd, "expires_at": odd},
        "anthropic": {"request_counts": {"succeeded": odd, "expired": odd}, "created_at": odd, "expires_at": odd},
        "google": {"metadata": {"batchStats": {"successfulRequestCount": odd}, "createTime": odd}},
    }[provider]
    with HostileServer(says(job_answer(provider, **fields))) as server:
        job = client_of(provider, server.url).get(str(NAMES[provider][0]))
    assert (int(job.completed), int(job.failed)) in ((0, 0), (1, 1), (1, 0))
    assert job.created_at in (0.0, 1.5, 1.0)


# --- words ----------------------------------------------------------------------------------------------------------

WORDS = f"\x1b[2J\u202e[/nope]\r\nforged {KEY} "


def error_answer(provider: str, message: str) -> bytes:
    error: dict[str, Any] = {"message": message, "code": 400, "type": "x", "status": "X"}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_words_of_an_error_are_printable_and_few(provider: str) -> None:
    """No escape sequence, no line end, no key, and a thousand characters of a megabyte; the status still counts."""
    body = b""
    with HostileServer(lambda _: reply(400, body, content_type="application/json")) as server:
        client = client_of(provider, server.url)
        bodies = (error_answer(provider, WORDS), error_answer(provider, WORDS * 20_000), WORDS.encode() * 20_000)
        for body in bodies:  # noqa: B007 - the server says it
            with pytest.raises(RequestRefusedError) as caught:
                client.get(str(NAMES[provider][0]))
            said = str(caught.value)
            assert said.isprintable()
            assert len(said) < 1100
            assert KEY not in "".join(traceback.format_exception(caught.value))
            assert "forged" in said


def test_why_a_job_failed_is_printable_and_short() -> None:
    """That, too, is the provider's text; status shows it, and Redis keeps it."""
    words = {"code": WORDS * 100, "message": WORDS * 100}
    for provider, fields in (
        ("openai", {"status": "failed", "errors": {"data": [words]}}),
        ("google", {"error": words | {"code": 10**300}, "metadata": {"state": "BATCH_STATE_FAILED"}}),
    ):
        with HostileServer(says(job_answer(provider, **fields))) as server:
            error = client_of(provider, server.url).get(str(NAMES[provider][0])).error
        assert error is not None
        assert f"{error.type} {error.message}".isprintable()
        assert len(error.type) + len(error.message) < 1200
        assert KEY not in f"{error.type} {error.message}"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_user_and_password_of_a_base_url_are_used_and_not_shown(provider: str) -> None:
    """They are sent to the service, and stand in no name, no error and no representation."""
    with HostileServer(lambda _: reply(500)) as server:
        client = client_of(provider, server.url.replace("//", "//user:hunter-2@"))
        with pytest.raises(ProviderUnavailableError) as caught:
            client.get(str(NAMES[provider][0]))
        assert b"uthorization: Basic dXNlcjpodW50ZXItMg==" in server.asked[0].head
    shown = "".join(traceback.format_exception(caught.value)) + repr(client) + client.access.service
    assert "hunter" not in shown
