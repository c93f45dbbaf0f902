"""Anthropic's client: the official SDK over real HTTP, against the simulator."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import (
    CredentialsError,
    NotFoundError,
    ProtocolError,
    ProviderAPIError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRefusedError,
)
from batch_router.providers import UnlabelledClient, find_provider
from batch_router.providers.base import Client
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Latency, Refusal
from tests.file_rows import FileRows

KEY = "sk-ant-canary-4711"
ROOT = Path(__file__).parents[2]
BATCHES = "/v1/messages/batches"
RUNNING = Scenario(latency=Latency(in_progress=60))
Connect = Callable[..., tuple[Client, Simulator]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(scenario)`: a client, and the simulator behind it."""
    started: list[Simulator] = []

    def run(scenario: Scenario | None = None) -> tuple[Client, Simulator]:
        simulator = Simulator(scenario)
        started.append(simulator.__enter__())
        return client_of(f"{simulator.url}/anthropic"), simulator

    yield run
    for simulator in started:
        simulator.__exit__()


def client_of(url: str, timeout: float = 5) -> Client:
    return find_provider("anthropic")(KEY, base_url=url).connect(Settings(http_timeout=timeout))


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write("t", 3)`: a file of three rows with that label."""

    def run(label: str = "t", count: int = 1, prompt: str = "Hello") -> Path:
        path = tmp_path / f"{label}.jsonl"
        params = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": prompt}]}
        rows = [{"custom_id": f"{label}-{number}", "params": params} for number in range(count)]
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        return path

    return run


def spec(label: str = "t", rows: int = 1) -> JobSpec:
    return JobSpec(label=label, model="m", rows=rows, upload=None)


def answers_of(client: Client, job: Job) -> list[dict[str, Any]]:
    answers = io.BytesIO()
    client.download(job, answers)
    return [json.loads(line) for line in answers.getvalue().split(b"\n") if line]


def test_a_job_goes_from_rows_to_answers(connect: Connect, write: Write) -> None:
    """Nothing to upload; create, look, download: one JSON object per line, one per row."""
    client, simulator = connect()
    rows = write(count=3, prompt="naïve \u2028 \n?")
    assert client.upload(FileRows(rows), spec(rows=3)) is None
    assert simulator.requests() == []
    created = client.create(FileRows(rows), spec(rows=3))
    job = client.get(created.id)
    assert (created.status, job.status, job.completed) == (BatchStatus.IN_PROGRESS, BatchStatus.COMPLETED, 3)
    assert job.expires_at == job.created_at + 24 * 3600
    answers = answers_of(client, job)
    assert sorted(answer["custom_id"] for answer in answers) == ["t-0", "t-1", "t-2"]
    assert {answer["result"]["message"]["content"][0]["text"] for answer in answers} == {"naïve \u2028 \n?"}


def test_refused_rows_are_counted(connect: Connect, write: Write) -> None:
    """They are among the answers, and the job is completed."""
    client, _ = connect(Scenario(refuse=(Refusal(),)))
    job = client.get(client.create(FileRows(write()), spec()).id)
    assert (job.status, job.completed, job.failed) == (BatchStatus.COMPLETED, 0, 1)
    assert answers_of(client, job)[0]["result"]["type"] == "errored"


def test_an_expired_job_keeps_what_was_answered(connect: Connect, write: Write) -> None:
    """Its answers have a line for each row."""
    client, _ = connect(Scenario(expire_after=0.5))
    job = client.get(client.create(FileRows(write(count=4)), spec(rows=4)).id)
    assert (job.status, job.completed) == (BatchStatus.EXPIRED, 2)
    assert len(answers_of(client, job)) == 4


# --- which job is ours ----------------------------------------------------------------------------------------------


def test_an_ended_job_is_known_by_its_rows(connect: Connect, write: Write) -> None:
    """Their ids begin with the label; the list itself shows how many there are, and no label."""
    client, _ = connect()
    made = client.create(FileRows(write("t1", 2)), spec("t1", 2))
    (job,) = client.list(60)
    assert (job.id, job.rows, job.label) == (made.id, 2, None)
    assert cast(UnlabelledClient, client).read_label(job) == "t1"


def test_a_running_job_cannot_be_told(connect: Connect, write: Write) -> None:
    """What it has is the number of its rows; once it is cancelled, it tells whose they are."""
    client, _ = connect(RUNNING)
    job = client.create(FileRows(write()), spec())
    assert [(each.id, each.rows, each.status.is_final) for each in client.list(60)] == [(job.id, 1, False)]
    assert cast(UnlabelledClient, client).read_label(job) is None
    client.cancel(job.id)
    assert cast(UnlabelledClient, client).read_label(client.get(job.id)) == "t"


def test_a_job_that_was_just_deleted_is_none_of_ours(connect: Connect, write: Write) -> None:
    """It is still in a list that was asked for before; its results are gone, and so is it."""
    client, _ = connect()
    client.create(FileRows(write()), spec())
    (job,) = client.list(60)
    client.delete(job)
    assert cast(UnlabelledClient, client).read_label(job) == ""


def test_results_that_are_not_there_yet_tell_nothing(connect: Connect, write: Write) -> None:
    """The job is there, so it may be ours: it is asked again later."""
    client, _ = connect(Scenario(faults=(Fault(match=f"GET {BATCHES}/.*/results", do="status", status=404),)))
    client.create(FileRows(write()), spec())
    (job,) = client.list(60)
    assert cast(UnlabelledClient, client).read_label(job) is None
    assert cast(UnlabelledClient, client).read_label(job) == "t"


def test_nothing_is_sent_twice(connect: Connect, write: Write) -> None:
    """A create whose answer is lost is reported as such: one request, one job, no retry of the SDK's."""
    client, simulator = connect(Scenario(faults=(Fault(match=f"POST {BATCHES}", do="reset_after"),)))
    with pytest.raises(ProviderUnavailableError) as caught:
        client.create(FileRows(write()), spec())
    assert caught.value.ambiguous
    assert [each["method"] for each in simulator.requests()] == ["POST"]
    assert len(list(client.list(60))) == 1


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "ambiguous", "retry_after"),
    [
        ({"do": "status", "status": 400}, RequestRefusedError, False, None),
        ({"do": "status", "status": 401}, CredentialsError, False, None),
        ({"do": "status", "status": 402}, RequestRefusedError, True, None),
        ({"do": "status", "status": 403}, CredentialsError, False, None),
        ({"do": "status", "status": 404}, NotFoundError, False, None),
        ({"do": "status", "status": 408}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 409}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 413}, RequestRefusedError, False, None),
        ({"do": "status", "status": 499}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 429, "retry_after": "7"}, RateLimitedError, False, 7.0),
        ({"do": "status", "status": 500}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 503, "retry_after": "soon"}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 529, "retry_after": "9"}, RateLimitedError, True, 9.0),
        ({"do": "html"}, ProtocolError, True, None),
        ({"do": "reset_before"}, ProviderUnavailableError, True, None),
        ({"do": "reset_after"}, ProviderUnavailableError, True, None),
    ],
)
def test_what_goes_wrong_is_named(
    connect: Connect,
    write: Write,
    fault: dict[str, Any],
    kind: type[ProviderAPIError],
    ambiguous: bool,
    retry_after: float | None,
) -> None:
    """Each of their errors becomes one of ours, which says whether and when to retry, and whether a job may exist."""
    client, _ = connect(Scenario(faults=(Fault(match=f"POST {BATCHES}", **fault),)))
    with pytest.raises(ProviderAPIError) as caught:
        client.create(FileRows(write()), spec())
    assert type(caught.value) is kind
    assert (caught.value.ambiguous, caught.value.retry_after) == (ambiguous, retry_after)


def test_a_bad_row_id_refuses_the_job(connect: Connect, tmp_path: Path) -> None:
    """With the service's words, and for good."""
    client, _ = connect()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"custom_id":"a b","params":{}}\n')
    with pytest.raises(RequestRefusedError, match=r"requests\.0\.custom_id: String should match pattern"):
        client.create(FileRows(path), spec())


def test_a_refused_connection_is_not_ambiguous(write: Write) -> None:
    """A connection that was never made carried no request."""
    client = client_of("http://127.0.0.1:1/anthropic", timeout=2)
    with pytest.raises(ProviderUnavailableError) as caught:
        client.create(FileRows(write()), spec())
    assert not caught.value.ambiguous


@pytest.mark.parametrize("how", [{"do": "delay", "seconds": 3}, {"do": "drip", "bytes": 1, "seconds": 0.1}])
def test_a_silent_provider_is_ambiguous(connect: Connect, write: Write, how: dict[str, Any]) -> None:
    """The request was sent, and its effect is unknown; an answer that never ends counts as none."""
    _, simulator = connect(Scenario(faults=(Fault(match=f"POST {BATCHES}", **how),)))
    with pytest.raises(ProviderUnavailableError) as caught:
        client_of(f"{simulator.url}/anthropic", timeout=0.3).create(FileRows(write()), spec())
    assert caught.value.ambiguous


def test_a_broken_download_is_an_error(connect: Connect, write: Write) -> None:
    """What arrived is not taken for the whole."""
    client, _ = connect(Scenario(faults=(Fault(match=f"GET {BATCHES}/.*/results", do="truncate", bytes=10),)))
    job = client.get(client.create(FileRows(write()), spec()).id)
    with pytest.raises(ProviderUnavailableError):
        client.download(job, io.BytesIO())


def test_the_key_is_in_no_message(connect: Connect) -> None:
    """Not even where the provider repeats it."""
    client, _ = connect(Scenario(keys=("sk-ant-other",)))
    with pytest.raises(CredentialsError) as caught:
        client.get("msgbatch_1")
    assert KEY not in str(caught.value)


def test_a_missing_key_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which variable to set, and where."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(CredentialsError, match="set ANTHROPIC_API_KEY where the workers run"):
        find_provider("anthropic")().connect(Settings(http_timeout=1))


# --- cancel, list, delete -------------------------------------------------------------------------------------------


def test_cancelling_twice_or_too_late_is_fine(connect: Connect, write: Write) -> None:
    """A job that has ended stays as it is."""
    client, _ = connect(RUNNING)
    job = client.create(FileRows(write()), spec())
    client.cancel(job.id)
    client.cancel(job.id)
    assert client.get(job.id).status is BatchStatus.CANCELLED
    client.cancel(job.id)
    with pytest.raises(NotFoundError):
        client.cancel("msgbatch_nonesuch")


def test_jobs_are_listed_newest_first(connect: Connect, write: Write) -> None:
    """As many as were asked for, over as many pages as that takes."""
    client, _ = connect()
    made = [client.create(FileRows(write()), spec()).id for _ in range(102)]
    assert [job.id for job in islice(client.list(60), 101)] == made[:0:-1]


def test_an_ended_job_can_be_deleted(connect: Connect, write: Write) -> None:
    """With its answers, and again; one that runs is left alone."""
    client, _ = connect()
    job = client.get(client.create(FileRows(write()), spec()).id)
    client.delete(job)
    client.delete(job)
    client.delete_upload("nothing")
    assert list(client.list(60)) == []
    with pytest.raises(NotFoundError):
        client.download(job, io.BytesIO())
    client, _ = connect(RUNNING)
    running = client.create(FileRows(write()), spec())
    with pytest.raises(RequestRefusedError):
        client.delete(running)


# --- objects of any shape -------------------------------------------------------------------------------------------


@pytest.fixture
def serve() -> Iterator[Callable[[bytes, int], Client]]:
    """`serve(content, status)`: a client of a service that answers just that."""
    servers: list[ThreadingHTTPServer] = []

    def run(content: bytes, status: int = 200) -> Client:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return client_of(f"http://127.0.0.1:{server.server_port}")

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


ENDED = {"id": "b", "processing_status": "ended", "created_at": "2026-11-23T10:00:00Z"}


@pytest.mark.parametrize(
    ("counts", "cancelled", "status"),
    [
        ({"succeeded": 2}, False, BatchStatus.COMPLETED),
        ({"errored": 2}, False, BatchStatus.COMPLETED),
        ({"expired": 2}, False, BatchStatus.EXPIRED),
        ({"succeeded": 1, "expired": 1}, False, BatchStatus.EXPIRED),
        ({"canceled": 2}, True, BatchStatus.CANCELLED),
        ({"succeeded": 1, "canceled": 1}, True, BatchStatus.CANCELLED),
        ({"succeeded": 2}, True, BatchStatus.COMPLETED),  # it came too late
        (None, False, BatchStatus.COMPLETED),
        ({"succeeded": "many"}, False, BatchStatus.COMPLETED),
    ],
)
def test_how_a_job_ended_is_in_its_counts(serve: Any, counts: Any, cancelled: bool, status: BatchStatus) -> None:
    """`ended` alone says nothing about success."""
    at = "2026-11-23T11:00:00Z" if cancelled else None
    content = msgspec.json.encode(ENDED | {"request_counts": counts, "cancel_initiated_at": at})
    assert serve(content).get("b").status is status


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"<html>", b"{}", b'{"id":""}', b'{"id":null,"processing_status":"ended"}', b"[" * 100_000],
)
def test_nonsense_is_a_protocol_error(serve: Any, content: bytes) -> None:
    """Which is worth another try; and it may hide a job."""
    with pytest.raises(ProtocolError) as caught:
        serve(content).get("b")
    assert caught.value.ambiguous


def test_a_page_of_html_is_quoted(serve: Any) -> None:
    """What stands in front of the service refuses in its own way; the key is not in what is quoted."""
    with pytest.raises(RequestRefusedError, match=r" 413: '<html>too large \*\*\*"):
        serve(f"<html>too large {KEY}</html>".encode(), 413).get("b")


# --- memory ---------------------------------------------------------------------------------------------------------


def test_a_large_job_is_never_whole_in_memory(connect: Connect, tmp_path: Path) -> None:
    """50 MB there and back: the client's memory grows by a tenth of that at most."""
    _, simulator = connect()
    row = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x" * 20_000}]}
    with (tmp_path / "rows.jsonl").open("wb") as stream:
        for number in range(2_500):
            stream.write(msgspec.json.encode({"custom_id": f"t-{number}", "params": row}) + b"\n")
    script = """
import sys
from pathlib import Path
from batch_router.core.jobs import JobSpec
from batch_router.providers import find_provider
from batch_router.settings import Settings
from tests.file_rows import FileRows
from tests.memory import peak_memory
url, path = sys.argv[1], Path(sys.argv[2])
client = find_provider("anthropic")("k", base_url=url).connect(Settings(http_timeout=60))
list(client.list(60))
before = peak_memory()
job = client.get(client.create(FileRows(path), JobSpec(label="t", model="m", rows=2_500, upload=None)).id)
with path.with_suffix(".answers").open("wb") as answers:
    client.download(job, answers)
print(job.completed, answers.name, peak_memory() - before)
"""
    command = [sys.executable, "-c", script, f"{simulator.url}/anthropic", str(tmp_path / "rows.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    completed, answers, growth = done.stdout.split()
    assert completed == "2500"
    assert Path(answers).stat().st_size > 50_000_000
    assert int(growth) < 5_000_000
