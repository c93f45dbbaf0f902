"""vLLM's runs: the client over real processes of a stand-in for the executable."""

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

from batch_router.core import BatchStatus, UnifiedMessage, UnifiedRequest
from batch_router.core.jobs import Job, JobSpec
from batch_router.exceptions import ProviderUnavailableError, RequestRefusedError
from batch_router.providers import VLLMProvider
from batch_router.providers.vllm import codec, engine
from batch_router.providers.vllm.client import VLLMClient

TOKEN = "0123456789abcdef"
STAND_IN = f"{sys.executable} -m batch_router.simulator.vllm"


def request(prompt: str = "hi", **fields: Any) -> UnifiedRequest:
    message = UnifiedMessage(role="user", content=prompt)
    return UnifiedRequest(**({"custom_id": "q", "model": "m", "messages": [message]} | fields))


def wire(row: UnifiedRequest, row_id: str = f"{TOKEN}-0") -> bytes:
    return msgspec.json.encode(codec.encode(row, row_id)) + b"\n"


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

    def guard(self) -> int:
        (pid,) = (pid for pid in self.engines() if any("guard.py" in word for word in psutil.Process(pid).cmdline()))
        return pid

    def wait_for_the_end(self) -> None:
        deadline = time.monotonic() + 30
        while self.engines():
            assert time.monotonic() < deadline
            time.sleep(0.05)

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


@pytest.mark.parametrize("guarded", [True, False])
def test_what_was_answered_before_a_crash_is_kept(runs: Runs, guarded: bool) -> None:
    """The worker is killed in the middle, and the next run has only the rows that are left.

    Its engine ends by itself, or, where the guard was killed with the worker, when the job is taken over.
    """
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
        if not guarded:
            os.kill(runs.guard(), signal.SIGKILL)
        worker.kill()
    if guarded:
        runs.wait_for_the_end()
    else:
        assert len(runs.engines()) == 2, "the run, and its engine"
    runs.scenario("")
    client = runs.client()
    assert client.find(runs.spec()) is None
    assert runs.engines() == []
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
    client.cancel(str(runs.rows))
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


def test_a_run_that_breaks_down_keeps_its_answers(runs: Runs) -> None:
    """Each run answers five rows and dies, with exit code 1: the third has only two left, and no row ran twice."""
    runs.write(12)
    runs.scenario("crash_after = 5\n")
    client = runs.client()
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError, match=r"(?s)exit code 1: .*EngineDeadError"):
            client.create(runs.rows, runs.spec())
    job = client.create(runs.rows, runs.spec())
    assert [row["custom_id"] for row in read(client, job)] == [f"{TOKEN}-{n}" for n in range(12)]
    assert runs.engines() == []


def test_one_run_at_a_time(runs: Runs) -> None:
    """A second holder of the same rows ends the first one's engine, and begins when that one has let go."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 20\n")
    client = runs.client()
    failed: list[Exception] = []

    def first() -> None:
        try:
            client.create(runs.rows, runs.spec())
        except ProviderUnavailableError as error:
            failed.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    runs.wait_for_answers(2)
    with pytest.raises(ProviderUnavailableError, match="another run over these rows"):
        runs.client().create(runs.rows, runs.spec())
    assert runs.client().find(runs.spec()) is None
    thread.join(30)
    assert len(failed) == 1
    runs.scenario("")
    job = runs.create()
    assert [row["custom_id"] for row in read(client, job)] == [f"{TOKEN}-{n}" for n in range(20)]


def test_an_error_holds_no_secret_and_no_prompt(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to the store: what the environment and the options hold in confidence is masked, rows are cut out."""
    monkeypatch.setenv("HF_TOKEN", "hf_canary_4711")
    runs.write(1)
    words = "hf_canary_4711 sk-canary-0815 input_value={'q': 'my prompt'}, input_type=dict"
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", "sh -c 'echo \"$WORDS\" >&2; exit 3'")
    monkeypatch.setenv("WORDS", words)
    with pytest.raises(ProviderUnavailableError) as caught:
        runs.create(vllm_args={"api-key": "sk-canary-0815"})
    assert str(caught.value).endswith("exit code 3: *** *** input_value=***, input_type=dict")


def test_a_row_that_stops_the_engine_before_0_33_is_a_refusal(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running again would stop it again."""
    runs.write(1)
    command = "sh -c 'echo 1 validation error for BatchRequestInput >&2; exit 1'"
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", command)
    with pytest.raises(RequestRefusedError, match="validation error for BatchRequestInput"):
        runs.create()


@pytest.mark.parametrize("change", [{"started": 1.0}, {"machine": "elsewhere"}, {"machine_started": 1.0}, {}])
def test_only_what_was_left_behind_is_ended(runs: Runs, change: dict[str, Any]) -> None:
    """A number is a process's only with its start time, and in the container or on the host where it was given."""
    runs.write(1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        record = Path(f"{runs.rows}.engine.json")
        record.write_bytes(msgspec.json.encode(msgspec.to_builtins(engine.describe(other.pid)) | change))
        assert runs.client().find(runs.spec()) is None
        assert (other.poll() is None) == bool(change)
        other.kill()
    assert not record.exists()
