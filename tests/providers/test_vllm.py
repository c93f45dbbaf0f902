"""vLLM's rows and runs: the codec, and the client over real processes of a stand-in for the executable."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from batch_router.core import BatchStatus, ErrorType, GenerationConfig, ResultStatus, UnifiedMessage, UnifiedRequest
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import ProviderUnavailableError, RequestRefusedError
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm import codec
from batch_router.providers.vllm.client import VLLMClient

TOKEN = "0123456789abcdef"
STAND_IN = f"{sys.executable} -m batch_router.simulator.vllm"


def request(prompt: str = "hi", **fields: Any) -> UnifiedRequest:
    message = UnifiedMessage(role="user", content=prompt)
    return UnifiedRequest(**({"custom_id": "q", "model": "m", "messages": [message]} | fields))


def wire(row: UnifiedRequest, row_id: str = f"{TOKEN}-0") -> bytes:
    return msgspec.json.encode(codec.encode(row, row_id)) + b"\n"


# --- the codec ------------------------------------------------------------------------------------------------------


def test_a_request_goes_out_as_a_chat_row() -> None:
    """OpenAI's row, and `top_k` besides."""
    row = json.loads(wire(request(generation_config=GenerationConfig(top_k=3, max_tokens=5, seed=1))))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert row == {
        "custom_id": f"{TOKEN}-0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body | {"top_k": 3, "max_completion_tokens": 5, "seed": 1},
    }


@pytest.mark.parametrize(
    ("status", "error", "kind", "message"),
    [
        (400, {"error": {"message": "too long", "code": 400}}, ErrorType.INVALID_REQUEST, "too long"),
        (400, "too long", ErrorType.INVALID_REQUEST, "too long"),
        (404, {"error": {"message": "no such model", "code": 404}}, ErrorType.NOT_FOUND, "no such model"),
        (500, "oops", ErrorType.SERVER, "oops"),
        (None, {"error": {"message": "too long", "code": 400}}, ErrorType.INVALID_REQUEST, "too long"),
        (400, None, ErrorType.INVALID_REQUEST, "HTTP 400"),
    ],
)
def test_both_forms_of_a_refusal_are_read(status: int | None, error: Any, kind: ErrorType, message: str) -> None:
    """The body is null then; the error is an object in an object, or a bare text."""
    response = {"status_code": status, "request_id": "r", "body": None}
    result, _ = codec.decode(json.dumps({"custom_id": "t-0", "response": response, "error": error}).encode())
    assert result.status is ResultStatus.ERRORED
    assert result.error is not None
    assert (result.error.type, result.error.message) == (kind, message)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def test_recorded_rows_are_read_without_loss(shared: Path) -> None:
    """Each leaf of a recorded row, but the names of the row itself, is in its result."""
    (path,) = (shared / "golden" / "vllm").glob("*results*.jsonl")
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    assert len(lines) == 14
    for line in lines:
        row = json.loads(line)
        result, repaired = codec.decode(line)
        assert (result.status, repaired) == (ResultStatus.SUCCEEDED, False)
        assert result.text == row["response"]["body"]["choices"][0]["message"]["content"]
        found = list(leaves(msgspec.json.decode(msgspec.json.encode(result))))
        assert all(leaf in found for leaf in leaves(row["response"]["body"]))
        assert row["custom_id"] in found


# --- the client -----------------------------------------------------------------------------------------------------


class Runs:
    """Jobs over a folder of rows; `scenario` is the stand-in's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.rows = folder / "rows.jsonl"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", STAND_IN)

    def write(self, count: int) -> None:
        self.rows.write_bytes(b"".join(wire(request(f"say {n}"), f"{TOKEN}-{n}") for n in range(count)))

    def scenario(self, text: str) -> None:
        (self.folder / "day.toml").write_text(text)
        self._monkeypatch.setenv("BATCH_ROUTER_VLLM_SCENARIO", str(self.folder / "day.toml"))

    def client(self, **arguments: Any) -> VLLMClient:
        client = VLLMProvider(**arguments).connect(timeout=1)
        assert isinstance(client, VLLMClient)
        return client

    def spec(self, model: str = "m") -> JobSpec:
        return JobSpec(token=TOKEN, model=model, rows=3, upload=str(self.rows), since=0)

    def create(self, **arguments: Any) -> Job:
        return self.client(**arguments).create(self.rows, self.spec())

    def engines(self) -> list[int]:
        """Processes of the stand-in that read this folder."""
        return [
            process.pid
            for process in psutil.process_iter(["cmdline", "status"])
            if str(self.rows) in " ".join(process.info["cmdline"] or ()) and process.info["status"] != "zombie"
        ]

    def wait_for_answers(self, count: int) -> None:
        deadline = time.monotonic() + 30
        path = Path(f"{self.rows}.run-out.jsonl")
        while not path.exists() or path.read_bytes().count(b"\n") < count:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    made = Runs(tmp_path, monkeypatch)
    yield made
    for pid in made.engines():
        os.kill(pid, signal.SIGKILL)


def read(client: VLLMClient, job: Job) -> list[Any]:
    into = io.BytesIO()
    client.download(job, into)
    return [json.loads(line) for line in into.getvalue().split(b"\n") if line]


def test_a_run_is_a_job(runs: Runs) -> None:
    """When `create` returns, the job is complete; its answers lie in one file, and nothing else is left of the run."""
    runs.write(3)
    client = runs.client(vllm_args={"max-model-len": 512, "enforce-eager": True})
    assert client.find(runs.spec()) is None
    job = client.create(runs.rows, runs.spec())
    assert job.status is BatchStatus.COMPLETED
    assert client.find(runs.spec()) == client.get(job.id) == job
    answers = [codec.decode(json.dumps(row).encode())[0] for row in read(client, job)]
    assert [(answer.custom_id, answer.text) for answer in answers] == [(f"{TOKEN}-{n}", f"say {n}") for n in range(3)]
    assert sorted(path.name for path in runs.folder.iterdir()) == ["rows.jsonl", "rows.jsonl.out.jsonl"]
    client.delete(job)
    client.delete(job)
    assert [path.name for path in runs.folder.iterdir()] == ["rows.jsonl"]
    assert client.find(runs.spec()) is None


def test_a_model_has_a_path_and_a_name(runs: Runs) -> None:
    """The model is loaded from the path, and answers to the name that the requests call it by."""
    runs.write(2)
    job = runs.create(model_path="/models/tiny")
    assert [row["error"] for row in read(runs.client(), job)] == [None, None]


def test_what_was_answered_before_a_crash_is_kept(runs: Runs) -> None:
    """The engine and its worker are killed in the middle: the next run has only the rows that are left."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 10\n")
    program = (
        "import sys; from pathlib import Path; from batch_router.core.jobs import JobSpec;"
        "from batch_router.providers import VLLMProvider; rows = Path(sys.argv[1]);"
        f"spec = JobSpec(token={TOKEN!r}, model='m', rows=20, upload=str(rows), since=0);"
        "VLLMProvider().connect(timeout=1).create(rows, spec)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(runs.rows)]) as worker:
        runs.wait_for_answers(3)
        worker.kill()
    (orphan,) = (pid for pid in runs.engines() if pid != worker.pid)
    runs.scenario("")
    client = runs.client()
    assert client.find(runs.spec()) is None
    assert orphan not in runs.engines()
    answered = Path(f"{runs.rows}.run-out.jsonl").read_bytes().count(b"\n")
    with Path(f"{runs.rows}.run-out.jsonl").open("ab") as torn:
        torn.write(b'{"id": "vllm-x", "custom_id": "torn')
    job = client.create(runs.rows, runs.spec())
    rows = read(client, job)
    assert [row["custom_id"] for row in rows] == [f"{TOKEN}-{n}" for n in range(20)]
    assert answered >= 3


def test_a_cancelled_run_ends_and_keeps_its_answers(runs: Runs) -> None:
    """The engine is gone when `create` returns."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 60\n")
    client = runs.client()
    ended: list[Job] = []
    thread = threading.Thread(target=lambda: ended.append(client.create(runs.rows, runs.spec())))
    thread.start()
    runs.wait_for_answers(1)
    client.cancel(f"{runs.rows}.out.jsonl")
    thread.join(30)
    (job,) = ended
    assert job.status is BatchStatus.CANCELLED
    assert 1 <= len(read(client, job)) < 20
    assert runs.engines() == []


def test_a_missing_executable_is_named(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing and which setting names it."""
    runs.write(1)
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", "/nowhere/vllm")
    with pytest.raises(RequestRefusedError, match=r"/nowhere/vllm cannot be run: .*; install vllm .*VLLM_COMMAND"):
        runs.create()


def test_a_row_that_stops_the_engine_is_named(runs: Runs) -> None:
    """The engine's own words: which line it was."""
    runs.write(1)
    runs.rows.write_bytes(runs.rows.read_bytes() + b'{"custom_id": "x", "url": "/v1/chat/completions"}\n')
    with pytest.raises(RequestRefusedError, match="exit code 1: Invalid request on line 2"):
        runs.create()


def test_an_engine_that_fails_is_worth_another_try(runs: Runs) -> None:
    """Its last words are in the error."""
    runs.write(1)
    runs.scenario('fail_job = "out of memory"\n')
    with pytest.raises(ProviderUnavailableError, match="exit code 1: RuntimeError: out of memory") as caught:
        runs.create()
    assert caught.value.retryable
    assert not caught.value.ambiguous
