"""A hostile provider: it has its own rows and its own key, and reaches no other host, and none of our disk or memory.

The official SDKs over real HTTP, against servers that do what a provider never should.
"""

import io
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import ProtocolError, ProviderAPIError
from batch_router.providers import find_provider
from batch_router.providers.base import Client, Rows
from batch_router.settings import Settings
from tests.file_rows import FileRows

from .hostile_server import Asked, HostileServer, reply

KEY = "sk-canary-0123456789"
PROMPT = "a secret prompt"
PROVIDERS = ("openai", "anthropic", "google")
# A name of each kind: of jobs, files and answers.
NAMES = {
    "openai": ("batch_1", "file-1", "file-2"),
    "anthropic": ("msgbatch_1", None, "/v1/messages/batches/msgbatch_1/results"),
    "google": ("batches/1", "files/1", "files/2"),
}
Call = Callable[[Client, Rows, JobSpec, Job], object]
CALLS: dict[str, Call] = {
    "upload": lambda client, rows, spec, _: client.upload(rows, spec),
    "create": lambda client, rows, spec, _: client.create(rows, spec),
    "find": lambda client, _, spec, __: client.find(spec),
    "get": lambda client, _, __, job: client.get(job.id),
    "list": lambda client, _, __, ___: list(client.list(5)),
    "cancel": lambda client, _, __, job: client.cancel(job.id),
    "download": lambda client, _, __, job: client.download(job, io.BytesIO()),
    "find_uploads": lambda client, _, spec, __: list(client.find_uploads(spec)),
    "delete_upload": lambda client, _, spec, __: client.delete_upload(str(spec.upload)),
    "delete": lambda client, _, __, job: client.delete(job),
}
# What asks nothing: Anthropic has no files, and Google's have names that we chose.
SILENT = {
    ("anthropic", "upload"),
    ("anthropic", "find_uploads"),
    ("anthropic", "delete_upload"),
    ("google", "find_uploads"),
}


def client_of(provider: str, url: str, timeout: float = 60, **settings: Any) -> Client:
    return find_provider(provider)(KEY, base_url=url).connect(Settings(http_timeout=timeout, **settings))


@pytest.fixture
def rows(tmp_path: Path) -> FileRows:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": PROMPT}) + "\n")
    return FileRows(path)


def spec_of(provider: str) -> JobSpec:
    return JobSpec(label="t", model="m", rows=1, upload=NAMES[provider][1], since=0.0)


def job_of(provider: str) -> Job:
    job_id, _, answers = NAMES[provider]
    return Job(id=str(job_id), status=BatchStatus.COMPLETED, created_at=0.0, outputs=(str(answers),))


def call(name: str, provider: str, client: Client, rows: FileRows) -> object:
    return CALLS[name](client, rows, spec_of(provider), job_of(provider))


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
    """Anthropic's service names the URL that the answers are at; the error names that host, in printable text."""
    with HostileServer(lambda _: reply()) as other, HostileServer(lambda _: reply()) as server:
        client = client_of("anthropic", server.url)
        url = f"{scheme}://127.0.0.1:{other.port}/results"
        job = Job(id="msgbatch_1", status=BatchStatus.COMPLETED, created_at=0.0, outputs=(url,))
        with pytest.raises(ProtocolError) as caught:
            client.download(job, io.BytesIO())
    assert f"a request to '{scheme}://127.0.0.1:{other.port}' was not sent" in str(caught.value)
    assert not caught.value.ambiguous
    assert other.asked == server.asked == []
