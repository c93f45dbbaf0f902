"""Google's client: the official SDK over real HTTP, against the simulator."""

import http.server
import io
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from batch_router.core import BatchStatus, Endpoint
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
from batch_router.providers import find_provider
from batch_router.providers.base import Client
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Latency, Refusal
from tests.file_rows import FileRows

KEY = "canary-key-4711"
MODEL = "gemini-2.5-flash"
CREATE = "POST /v1beta/models/.*:batchGenerateContent"
ROOT = Path(__file__).parents[2]
Connect = Callable[..., tuple[Client, Simulator]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(scenario)`: a client, and the simulator behind it."""
    started: list[Simulator] = []

    def run(scenario: Scenario | None = None) -> tuple[Client, Simulator]:
        simulator = Simulator(scenario)
        started.append(simulator.__enter__())
        return client_of(f"{simulator.url}/google"), simulator

    yield run
    for simulator in started:
        simulator.__exit__()


def client_of(url: str, timeout: float = 5) -> Client:
    return find_provider("google")(KEY, base_url=url).connect(Settings(http_timeout=timeout))


def write_rows(path: Path, *prompts: str) -> Path:
    with path.open("w") as stream:
        for number, prompt in enumerate(prompts):
            contents = [{"role": "user", "parts": [{"text": prompt}]}]
            stream.write(json.dumps({"key": f"t-{number}", "request": {"contents": contents}}) + "\n")
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.jsonl", "Hello")


def spec(label: str = "t", **facts: Any) -> JobSpec:
    common: dict[str, Any] = {"label": label, "model": MODEL, "rows": 1, "upload": None}
    return JobSpec(**(common | facts))


def find(client: Client, label: str) -> str | None:
    """The id of the job with that label."""
    return next((job.id for job in client.list(60) if job.label == label), None)


def create(client: Client, rows: Path, label: str = "t") -> Job:
    upload = client.upload(FileRows(rows), spec(label))
    return client.create(FileRows(rows), spec(label, upload=upload))


def answers(client: Client, job: Job) -> list[dict[str, Any]]:
    into = io.BytesIO()
    client.download(job, into)
    return [json.loads(line) for line in into.getvalue().split(b"\n")[:-1]]


def test_a_job_goes_from_upload_to_answers(connect: Connect, rows: Path) -> None:
    """Upload, create, look, download: one JSON object per line; the counts are numbers."""
    client, _ = connect()
    created = create(client, rows)
    job = client.get(created.id)
    assert (created.status, job.status, job.completed) == (BatchStatus.VALIDATING, BatchStatus.COMPLETED, 1)
    assert job.expires_at == job.created_at + 48 * 3600
    assert [row["key"] for row in answers(client, job)] == ["t-0"]


def test_embeddings_are_made_at_their_own_address(connect: Connect, tmp_path: Path) -> None:
    """The endpoint of the job decides; in a worker, which preloads the provider, the SDK does not warn."""
    client, simulator = connect()
    path = tmp_path / "rows.jsonl"
    path.write_text('{"key": "t-0", "request": {"content": {"parts": [{"text": "Hello"}]}}}\n')
    upload = client.upload(FileRows(path), spec())
    with warnings.catch_warnings():
        find_provider("google").preload()
        job = client.create(FileRows(path), spec(upload=upload, endpoint=Endpoint.EMBEDDINGS))
    (row,) = answers(client, client.get(job.id))
    assert len(row["response"]["embedding"]["values"]) == 8
    assert any(each["path"].endswith(":asyncBatchEmbedContent") for each in simulator.requests())


def test_an_upload_is_done_once(connect: Connect, rows: Path) -> None:
    """The name comes from the label: the second time the file is there; one of another size is replaced."""
    client, simulator = connect()
    name = client.upload(FileRows(rows), spec("0123456789abcdef"))
    assert client.upload(FileRows(rows), spec("0123456789abcdef")) == name == "files/br-0123456789abcdef-0"
    assert len([each for each in simulator.requests() if "filename" in each]) == 1
    write_rows(rows, "Hello", "and more")
    assert client.upload(FileRows(rows), spec("0123456789abcdef")) == name
    log = simulator.requests()
    assert [each["deleted"] for each in log if "deleted" in each] == [name]
    assert len([each for each in log if "filename" in each]) == 2


def test_a_race_of_uploads_has_two_winners(connect: Connect, rows: Path) -> None:
    """An upload that finds its name taken uses the file that is there."""
    client, simulator = connect(
        Scenario(faults=(Fault(match="GET /v1beta/files/.*", do="status", status=404, after=1),))
    )
    assert client.upload(FileRows(rows), spec()) == client.upload(FileRows(rows), spec())
    assert [each["status"] for each in simulator.requests()][-2:] == [409, 200]


def test_an_upload_whose_answer_a_gateway_took_is_used(connect: Connect, rows: Path) -> None:
    """The file is whole, and its session is gone when the SDK asks again: the file that is there counts."""
    lost = Fault(match="POST /upload/v1beta/files", do="status_after", status=502, after=1)
    client, simulator = connect(Scenario(faults=(lost,)))
    assert client.upload(FileRows(rows), spec("0123456789abcdef")) == "files/br-0123456789abcdef-0"
    assert len([each for each in simulator.requests() if "filename" in each]) == 1


def test_a_job_is_found_by_its_token(connect: Connect, rows: Path) -> None:
    """Among others, on any page; and not if there is none."""
    client, simulator = connect()
    made = {label: create(client, rows, label).id for label in ["one", "two", *(f"n{n}" for n in range(100))]}
    assert find(client, "one") == made["one"]
    assert len([each for each in simulator.requests() if each["path"].endswith("/batches")]) == 2
    assert find(client, "four") is None


def test_jobs_are_listed_newest_first(connect: Connect, rows: Path) -> None:
    """As many as were asked for."""
    client, _ = connect()
    made = [create(client, rows, label).id for label in ("one", "two", "three")]
    assert [job.id for job in islice(client.list(60), 2)] == [made[2], made[1]]


def test_nothing_is_sent_twice(connect: Connect, rows: Path) -> None:
    """A create whose answer is lost is reported as such: one request, one job, no retry of the SDK's."""
    client, simulator = connect(Scenario(faults=(Fault(match=CREATE, do="reset_after"),)))
    with pytest.raises(ProviderUnavailableError) as caught:
        create(client, rows)
    assert caught.value.ambiguous
    assert len([each for each in simulator.requests() if each["path"].endswith(":batchGenerateContent")]) == 1
    assert find(client, "t") is not None


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_the_sdk_tries_nothing_again(connect: Connect, rows: Path, status: int) -> None:
    """Not even what its own retries, were they on, would try again."""
    client, simulator = connect(Scenario(faults=(Fault(match=CREATE, do="status", status=status, times=9),)))
    with pytest.raises(ProviderAPIError):
        create(client, rows)
    assert len([each for each in simulator.requests() if each["path"].endswith(":batchGenerateContent")]) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "ambiguous", "retry_after"),
    [
        ({"do": "status", "status": 400}, RequestRefusedError, False, None),
        ({"do": "status", "status": 401}, CredentialsError, False, None),
        ({"do": "status", "status": 403}, CredentialsError, False, None),
        ({"do": "status", "status": 404}, NotFoundError, False, None),
        ({"do": "status", "status": 409}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 429, "retry_after": "17"}, RateLimitedError, False, 17.0),
        ({"do": "status", "status": 429}, RateLimitedError, False, None),
        ({"do": "status", "status": 503, "retry_after": "soon"}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 201}, ProtocolError, True, None),
        ({"do": "html"}, ProtocolError, True, None),
        ({"do": "truncate", "bytes": 20}, ProviderUnavailableError, True, None),
        ({"do": "reset_before"}, ProviderUnavailableError, True, None),
        ({"do": "reset_after"}, ProviderUnavailableError, True, None),
    ],
)
def test_what_goes_wrong_is_named(
    connect: Connect,
    rows: Path,
    fault: dict[str, Any],
    kind: type[ProviderAPIError],
    ambiguous: bool,
    retry_after: float | None,
) -> None:
    """Each of their errors becomes one of ours, which says whether and when to retry, and whether a job may exist."""
    client, _ = connect(Scenario(faults=(Fault(match=CREATE, **fault),)))
    with pytest.raises(ProviderAPIError) as caught:
        create(client, rows)
    assert type(caught.value) is kind
    assert (caught.value.ambiguous, caught.value.retry_after) == (ambiguous, retry_after)


def test_a_failed_upload_is_named(connect: Connect, rows: Path) -> None:
    """Whether the start of it is refused, or a piece of it lost; the next attempt goes well."""
    start = Fault(match="POST /upload/v1beta/files", do="status", status=503)
    piece = Fault(match="POST /upload/v1beta/files", do="reset_before", after=1)
    client, _ = connect(Scenario(faults=(start, piece)))
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError):
            client.upload(FileRows(rows), spec())
    assert client.upload(FileRows(rows), spec()) == "files/br-t-0"


def test_a_refused_connection_is_not_ambiguous() -> None:
    """A connection that was never made carried no request."""
    with pytest.raises(ProviderUnavailableError) as caught:
        client_of("http://127.0.0.1:1", timeout=2).create(FileRows(Path("unused")), spec(upload="files/1"))
    assert not caught.value.ambiguous


@pytest.mark.parametrize("how", [{"do": "delay", "seconds": 3}, {"do": "drip", "bytes": 1, "seconds": 0.1}])
def test_a_silent_provider_is_ambiguous(connect: Connect, rows: Path, how: dict[str, Any]) -> None:
    """The request was sent, and its effect is unknown; an answer that never ends counts as none."""
    _, simulator = connect(Scenario(faults=(Fault(match=CREATE, **how),)))
    with pytest.raises(ProviderUnavailableError) as caught:
        create(client_of(f"{simulator.url}/google", timeout=0.3), rows)
    assert caught.value.ambiguous


def test_a_broken_download_is_an_error(connect: Connect, rows: Path) -> None:
    """What arrived is not taken for the whole."""
    client, _ = connect(
        Scenario(faults=(Fault(match="GET /download/v1beta/files/.*:download", do="truncate", bytes=10),))
    )
    job = client.get(create(client, rows).id)
    with pytest.raises(ProviderUnavailableError):
        client.download(job, io.BytesIO())


def test_cancelling_before_the_start_ends_the_job(connect: Connect, rows: Path) -> None:
    """Cancelled, without answers; a second time and too late are fine."""
    client, _ = connect(Scenario(latency=Latency(validating=60)))
    job = create(client, rows)
    client.cancel(job.id)
    client.cancel(job.id)
    ended = client.get(job.id)
    assert (ended.status, ended.error, answers(client, ended)) == (BatchStatus.CANCELLED, None, [])


def test_cancelling_after_the_start_keeps_what_was_answered(connect: Connect, rows: Path) -> None:
    """The job ends as if it had succeeded, and the rows that were not served say that they were cancelled."""
    client, _ = connect(Scenario(latency=Latency(in_progress=60)))
    job = create(client, rows)
    client.cancel(job.id)
    ended = client.get(job.id)
    (row,) = answers(client, ended)
    assert (ended.status, ended.failed, row["error"]["code"]) == (BatchStatus.COMPLETED, 1, 1)


def test_an_expired_job_has_no_answers(connect: Connect, rows: Path) -> None:
    """None at all, however far it was."""
    client, _ = connect(Scenario(expire_after=0.5))
    job = client.get(create(client, rows).id)
    assert (job.status, answers(client, job)) == (BatchStatus.EXPIRED, [])


def test_a_failed_job_says_why(connect: Connect, rows: Path) -> None:
    """In words that the SDK's own model drops; a full queue (code 8) is worth another try."""
    for code, retryable in (("3", False), ("8", True)):
        client, _ = connect(Scenario(fail_job=code))
        job = client.get(create(client, rows).id)
        assert job.status is BatchStatus.FAILED
        assert job.error is not None
        assert (job.error.type, job.error.retryable) == (f"job_failed_{code}", retryable)
        assert "failed by the scenario" in job.error.message


def test_refused_rows_are_counted(connect: Connect, rows: Path) -> None:
    """They are in the same file as the others."""
    client, _ = connect(Scenario(refuse=(Refusal(),)))
    job = client.get(create(client, rows).id)
    assert (job.completed, job.failed, answers(client, job)[0]["error"]["code"]) == (0, 1, 3)


def test_deleting_what_is_gone_is_fine(connect: Connect, rows: Path) -> None:
    """Job, answers and rows; and a job can no longer be created from the rows."""
    client, _ = connect()
    upload = client.upload(FileRows(rows), spec())
    job = client.get(client.create(FileRows(rows), spec(upload=upload)).id)
    for _ in range(2):
        client.delete(job)
        client.delete_upload(str(upload))
    with pytest.raises(NotFoundError):
        client.get(job.id)
    with pytest.raises(NotFoundError):
        client.create(FileRows(rows), spec(upload=upload))


def test_a_wrong_key_is_a_matter_of_credentials(connect: Connect) -> None:
    """Though the service says 400; and the key is in no message."""
    client, _ = connect(Scenario(keys=("other",)))
    with pytest.raises(CredentialsError) as caught:
        client.get("batches/1")
    assert caught.value.status_code == 400
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("variable", ["GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"])
def test_the_environment_does_not_switch_the_service(
    connect: Connect, rows: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Variables that make other programs of this machine use Vertex AI, or another version, change nothing here."""
    monkeypatch.setenv(variable, "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "somebodys")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "somewhere")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1alpha")
    client, _ = connect()
    assert client.get(create(client, rows).id).status is BatchStatus.COMPLETED


def test_the_key_is_found_where_the_sdk_would_find_it(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """GOOGLE_API_KEY wins over GEMINI_API_KEY; without either the error says which to set, and where."""
    _, simulator = connect(Scenario(keys=("first",)))
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    provider = find_provider("google")(base_url=f"{simulator.url}/google")
    with pytest.raises(CredentialsError, match="set GOOGLE_API_KEY or GEMINI_API_KEY where the workers run"):
        provider.connect(Settings(http_timeout=1))
    monkeypatch.setenv("GEMINI_API_KEY", "first")
    assert list(provider.connect(Settings(http_timeout=5)).list(60)) == []
    monkeypatch.setenv("GOOGLE_API_KEY", "second")
    with pytest.raises(CredentialsError):
        list(provider.connect(Settings(http_timeout=5)).list(60))


# --- answers that the simulator does not give -----------------------------------------------------------------------


@pytest.fixture
def say() -> Iterator[Callable[[Any], Client]]:
    """`say(answer)`: a client of a service that answers everything with that."""
    servers: list[http.server.HTTPServer] = []

    def run(answer: Any) -> Client:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return client_of(f"http://127.0.0.1:{server.server_port}")

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def operation(**fields: Any) -> dict[str, Any]:
    metadata = {"state": "BATCH_STATE_SUCCEEDED", "createTime": "2026-07-02T14:40:59.019821594Z", "name": "batches/x"}
    return {"name": "batches/x", "done": True, "metadata": metadata | fields.pop("metadata", {})} | fields


def state(word: str) -> dict[str, Any]:
    return {"metadata": {"state": word}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (operation(), {"status": "completed", "completed": 0, "outputs": (), "created_at": 1783003259.019821}),
        (operation(response={"responsesFile": "files/a"}), {"outputs": ("files/a",)}),
        (operation(metadata={"output": {"responsesFile": "files/a"}}), {"outputs": ("files/a",)}),
        (operation(response={}, metadata={"output": {"responsesFile": "files/a"}}), {"outputs": ("files/a",)}),
        (operation(metadata={"batchStats": {"successfulRequestCount": "4"}}), {"completed": 4, "failed": 0}),
        (operation(metadata={"batchStats": {"failedRequestCount": "many"}}), {"completed": 0, "failed": 0}),
        (operation(metadata={"createTime": [5]}), {"created_at": 0.0, "expires_at": None}),
        (operation(**state("BATCH_STATE_PARTIALLY_SUCCEEDED")), {"status": "completed"}),
        (operation(**state("JOB_STATE_RUNNING")), {"status": "in_progress"}),
        (operation(**state("BATCH_STATE_WRAPPED_UP")), {"status": "completed", "word": None}),
        ({"name": "batches/x", "done": True, "response": {"responsesFile": "files/a"}}, {"status": "completed"}),
        ({"name": "batches/x"}, {"status": "validating", "error": None}),
        ({"name": "batches/x", "metadata": None, "error": {"code": 3}}, {"status": "failed"}),
        (operation(**state("BATCH_STATE_EXPIRED")), {"status": "expired"}),
        (operation(error={"code": 13}, **state("BATCH_STATE_CANCELLED")), {"status": "cancelled", "error": None}),
        (operation(metadata={"output": 5, "batchStats": [], "model": {"a": 1}}), {"status": "completed"}),
    ],
)
def test_what_is_left_out_is_zero(say: Any, said: dict[str, Any], expected: dict[str, Any]) -> None:
    """Whatever the operation has and has not, and whether the SDK's model takes it or not."""
    job = say(said).get("batches/x")
    assert {name: getattr(job, name) for name in expected} == expected


@pytest.mark.parametrize(
    "said", [{}, {"name": 5}, {"name": ""}, {"metadata": {"state": "BATCH_STATE_RUNNING"}}, [], "text"]
)
def test_an_answer_without_a_meaning_is_an_error(say: Any, said: Any) -> None:
    """What has no name of a job describes none."""
    with pytest.raises(ProtocolError) as caught:
        say(said).get("batches/x")
    assert caught.value.ambiguous


def test_inlined_answers_become_rows(say: Any) -> None:
    """In the shape that a file of responses has, with the key where it is there."""
    rows = [
        {"metadata": {"key": "t-1"}, "response": {"candidates": []}},
        {"error": {"code": 3}, "metadata": {"key": "t-0", "more": 1}},
        {"response": {}},
    ]
    client = say(operation(response={"inlinedResponses": {"inlinedResponses": rows}}))
    assert [row["key"] for row in answers(client, client.get("batches/x"))] == ["t-1", "t-0", None]


@pytest.mark.parametrize("odd", [None, [], {}, {"inlinedResponses": 5}, {"inlinedResponses": [5]}])
def test_odd_inlined_answers_are_none(say: Any, odd: Any) -> None:
    """What is no list of objects holds no rows."""
    client = say(operation(response={"inlinedResponses": odd}))
    assert answers(client, client.get("batches/x")) == []


def test_a_recorded_operation_is_read(say: Any, shared: Path) -> None:
    """State, counts, times and the file, as the service recorded them."""
    said = json.loads((shared / "golden/gemini/ellmer__state-capitals-gemini.json").read_text())["batch"]
    job = say(said).get(said["name"])
    assert (job.id, job.status, job.completed, job.failed) == (said["name"], BatchStatus.COMPLETED, 4, 0)
    assert job.outputs == (said["response"]["responsesFile"],)


def test_a_large_shard_is_never_whole_in_memory(tmp_path: Path) -> None:
    """50 MB up and 50 MB down: the client's process grows by much less."""
    script = """
import sys
from pathlib import Path
from batch_router.core.jobs import JobSpec
from batch_router.providers import find_provider
from batch_router.settings import Settings
from tests.file_rows import FileRows
from tests.memory import peak_memory

client = find_provider("google")("k", base_url=sys.argv[1]).connect(Settings(http_timeout=60))
rows = FileRows(Path(sys.argv[2]))
list(client.list(60))
before = peak_memory()
spec = JobSpec(label="t", model="m", rows=1, upload=None)
job = client.create(rows, JobSpec(label="t", model="m", rows=1, upload=client.upload(rows, spec)))
with open(sys.argv[3], "wb") as into:
    client.download(client.get(job.id), into)
print(peak_memory() - before)
"""
    rows = write_rows(tmp_path / "rows.jsonl", *(str(number) * 10_000 for number in range(1_000, 2_250)))
    with Simulator() as simulator:
        command = [sys.executable, "-c", script, f"{simulator.url}/google", str(rows), str(tmp_path / "answers.jsonl")]
        grown = int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert rows.stat().st_size > 50_000_000
    assert (tmp_path / "answers.jsonl").stat().st_size > 50_000_000
    assert grown < 35_000_000
