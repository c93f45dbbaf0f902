"""OpenAI's client: the official SDK over real HTTP, against the simulator."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import JobSpec
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

KEY = "sk-canary-4711"
Connect = Callable[..., tuple[Client, Simulator]]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(scenario)`: a client, and the simulator behind it."""
    started: list[Simulator] = []

    def run(scenario: Scenario | None = None) -> tuple[Client, Simulator]:
        simulator = Simulator(scenario)
        started.append(simulator.__enter__())
        provider = find_provider("openai")(KEY, base_url=f"{simulator.url}/openai/v1")
        return provider.connect(Settings(http_timeout=5)), simulator

    yield run
    for simulator in started:
        simulator.__exit__()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": "gpt-5-mini", "messages": messages}
    row = {"custom_id": "t-0", "method": "POST", "url": "/v1/chat/completions", "body": body}
    path.write_text(json.dumps(row) + "\n")
    return path


def spec(label: str = "t", **facts: Any) -> JobSpec:
    common: dict[str, Any] = {"label": label, "model": "gpt-5-mini", "rows": 1, "upload": None}
    return JobSpec(**(common | facts))


def find(client: Client, label: str) -> str | None:
    """The id of the job with that label."""
    return next((job.id for job in client.list(60) if job.label == label), None)


def create(client: Client, rows: Path, label: str = "t") -> Any:
    upload = client.upload(FileRows(rows), spec(label))
    return client.create(FileRows(rows), spec(label, upload=upload))


def test_a_job_goes_from_upload_to_answers(connect: Connect, rows: Path) -> None:
    """Upload, create, look, download: the answers of both files, one JSON object per line."""
    client, _ = connect()
    created = create(client, rows)
    job = client.get(created.id)
    answers = io.BytesIO()
    client.download(job, answers)
    assert (created.status, job.status, job.completed) == (BatchStatus.VALIDATING, BatchStatus.COMPLETED, 1)
    assert [json.loads(line)["custom_id"] for line in answers.getvalue().split(b"\n")[:-1]] == ["t-0"]


def test_the_error_file_is_downloaded_too(connect: Connect, rows: Path) -> None:
    """Also where it is the only one."""
    client, _ = connect(Scenario(refuse=(Refusal(code="no"),)))
    job = client.get(create(client, rows).id)
    answers = io.BytesIO()
    client.download(job, answers)
    assert (job.failed, len(job.outputs)) == (1, 1)
    assert json.loads(answers.getvalue())["response"]["status_code"] == 400


def test_a_job_is_found_by_its_token(connect: Connect, rows: Path) -> None:
    """Among others, on any page; and not if there is none."""
    client, _ = connect()
    made = {label: create(client, rows, label).id for label in ("one", "two", "three")}
    assert find(client, "one") == made["one"]
    assert find(client, "four") is None


def test_nothing_is_sent_twice(connect: Connect, rows: Path) -> None:
    """A create whose answer is lost is reported as such: one request, one job, no retry of the SDK's."""
    client, simulator = connect(Scenario(faults=(Fault(match="POST /batches", do="reset_after"),)))
    with pytest.raises(ProviderUnavailableError) as caught:
        create(client, rows)
    posts = [each for each in simulator.requests() if each["path"].endswith("/batches")]
    assert caught.value.ambiguous
    assert [each["method"] for each in posts] == ["POST"]
    assert find(client, "t") is not None


@pytest.mark.parametrize(
    ("fault", "kind", "ambiguous", "retry_after"),
    [
        ({"do": "status", "status": 400}, RequestRefusedError, False, None),
        ({"do": "status", "status": 401}, CredentialsError, False, None),
        ({"do": "status", "status": 403}, CredentialsError, False, None),
        ({"do": "status", "status": 404}, NotFoundError, False, None),
        ({"do": "status", "status": 409}, ProviderUnavailableError, True, None),
        ({"do": "status", "status": 429, "retry_after": "7"}, RateLimitedError, False, 7.0),
        ({"do": "status", "status": 503, "retry_after": "soon"}, ProviderUnavailableError, True, None),
        ({"do": "html"}, ProtocolError, True, None),
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
    client, _ = connect(Scenario(faults=(Fault(match="POST /batches", **fault),)))
    with pytest.raises(ProviderAPIError) as caught:
        create(client, rows)
    assert type(caught.value) is kind
    assert (caught.value.ambiguous, caught.value.retry_after) == (ambiguous, retry_after)


def test_a_refused_connection_is_not_ambiguous() -> None:
    """A connection that was never made carried no request."""
    client = find_provider("openai")(KEY, base_url="http://127.0.0.1:1/v1").connect(Settings(http_timeout=2))
    with pytest.raises(ProviderUnavailableError) as caught:
        client.create(FileRows(Path("unused")), spec(upload="file-1"))
    assert not caught.value.ambiguous


@pytest.mark.parametrize("how", [{"do": "delay", "seconds": 3}, {"do": "drip", "bytes": 1, "seconds": 0.1}])
def test_a_silent_provider_is_ambiguous(connect: Connect, rows: Path, how: dict[str, Any]) -> None:
    """The request was sent, and its effect is unknown; an answer that never ends counts as none."""
    _, simulator = connect(Scenario(faults=(Fault(match="POST /batches", **how),)))
    client = find_provider("openai")(KEY, base_url=f"{simulator.url}/openai/v1").connect(Settings(http_timeout=0.3))
    with pytest.raises(ProviderUnavailableError) as caught:
        create(client, rows)
    assert caught.value.ambiguous


def test_a_broken_download_is_an_error(connect: Connect, rows: Path) -> None:
    """What arrived is not taken for the whole."""
    client, _ = connect(Scenario(faults=(Fault(match="GET /files/.*/content", do="truncate", bytes=10),)))
    job = client.get(create(client, rows).id)
    with pytest.raises(ProviderUnavailableError):
        client.download(job, io.BytesIO())


def test_cancelling_twice_or_too_late_is_fine(connect: Connect, rows: Path) -> None:
    """A job that has ended stays as it is."""
    client, _ = connect(Scenario(latency=Latency(in_progress=60)))
    job = create(client, rows)
    client.cancel(job.id)
    client.cancel(job.id)
    assert client.get(job.id).status is BatchStatus.CANCELLED


def test_deleting_what_is_gone_is_fine(connect: Connect, rows: Path) -> None:
    """And a job can no longer be created from it."""
    client, _ = connect()
    upload = client.upload(FileRows(rows), spec())
    client.delete_upload(str(upload))
    client.delete_upload(str(upload))
    with pytest.raises(RequestRefusedError):
        client.create(FileRows(rows), spec(upload=upload))


def test_a_failed_job_says_why(connect: Connect, rows: Path) -> None:
    """Code, message and line of the first of its errors; a full queue is worth another try."""
    for code, retryable in (("model_mismatch", False), ("token_limit_exceeded", True)):
        client, _ = connect(Scenario(fail_job=code))
        job = client.get(create(client, rows).id)
        assert job.status is BatchStatus.FAILED
        assert job.error is not None
        assert (job.error.type, job.error.retryable) == (code, retryable)


def test_the_key_is_in_no_message(connect: Connect, rows: Path) -> None:
    """Not even where the provider repeats it."""
    client, _ = connect(Scenario(keys=("sk-other",)))
    with pytest.raises(CredentialsError) as caught:
        client.get("batch_1")
    assert KEY not in str(caught.value)


def test_a_missing_key_is_said_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which variable to set, and where."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(CredentialsError, match="set OPENAI_API_KEY where the workers run"):
        find_provider("openai")().connect(Settings(http_timeout=1))
