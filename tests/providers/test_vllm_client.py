"""vLLM's runs: the client over real processes of a stand-in for the executable."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Job
from batch_router.exceptions import JobInterruptedError, NotFoundError, ProviderUnavailableError
from batch_router.providers.vllm import EngineMissingError
from batch_router.providers.vllm.process.leftovers import end_leftover
from batch_router.providers.vllm.process.record import describe_group
from tests.providers.vllm_runs import LABEL, Runs, decode, read, runs

__all__ = ["runs"]


def test_a_run_is_a_job(runs: Runs) -> None:
    """When `create` returns, the job is complete; its answers lie in one file, and nothing else is left of the run."""
    runs.write(3)
    client = runs.client(vllm_args={"max-model-len": 512, "enforce-eager": True})
    assert list(client.list(60)) == []
    job = client.create(runs.file_rows(), runs.spec())
    assert job.status is BatchStatus.COMPLETED
    assert client.get(job.id) == job
    answers = [decode(row) for row in read(client, job)]
    assert [(answer.custom_id, answer.text) for answer in answers] == [(f"{LABEL}-{n}", f"say {n}") for n in range(3)]
    assert sorted(path.name for path in runs.folder.iterdir()) == ["rows.jsonl", "rows.jsonl.out.jsonl"]
    client.delete(job)
    client.delete(job)
    assert [path.name for path in runs.folder.iterdir()] == ["rows.jsonl"]
    with pytest.raises(NotFoundError):
        client.get(job.id)


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
        "from batch_router.settings import Settings; from batch_router.providers import VLLMProvider;"
        "from tests.file_rows import FileRows;"
        "rows = FileRows(Path(sys.argv[1]), sys.argv[2]);"
        f"spec = JobSpec(label={LABEL!r}, model='m', rows=20, upload=rows.name);"
        "VLLMProvider(engine='run-batch').connect(Settings.from_env()).create(rows, spec)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(runs.rows), runs.name]) as worker:
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
    answered = Path(f"{runs.rows}.run-out.jsonl").read_bytes().count(b"\n")
    with Path(f"{runs.rows}.run-out.jsonl").open("ab") as torn:
        torn.write(b'{"id": "vllm-x", "custom_id": "torn')
    job = client.create(runs.file_rows(), runs.spec())
    assert runs.engines() == []
    rows = read(client, job)
    assert [row["custom_id"] for row in rows] == [f"{LABEL}-{n}" for n in range(20)]
    assert answered >= 3


def test_a_cancelled_run_ends_and_keeps_its_answers(runs: Runs) -> None:
    """The engine is gone when `create` returns."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 60\n")
    client = runs.client()
    ended: list[Job] = []
    thread = threading.Thread(target=lambda: ended.append(client.create(runs.file_rows(), runs.spec())))
    thread.start()
    runs.wait_for_answers(1)
    client.cancel(runs.name)
    thread.join(30)
    (job,) = ended
    assert job.status is BatchStatus.CANCELLED
    assert 1 <= len(read(client, job)) < 20
    assert runs.engines() == []


def test_a_missing_executable_is_named(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what is missing and which setting names it."""
    runs.write(1)
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", "/nowhere/vllm")
    with pytest.raises(EngineMissingError, match=r"/nowhere/vllm cannot be run: install vllm .*VLLM_COMMAND"):
        runs.create()


def test_an_engine_that_fails_is_worth_another_try(runs: Runs) -> None:
    """Its last words are in the error, and no row is blamed."""
    runs.write(1)
    runs.scenario('fail_job = "the bus fell off"\n')
    with pytest.raises(ProviderUnavailableError, match="exit code 1: RuntimeError: the bus fell off") as caught:
        runs.create()
    assert caught.value.retryable
    assert not caught.value.ambiguous


def test_a_run_that_breaks_down_is_gone_on_with(runs: Runs) -> None:
    """Each run answers five rows and dies: the third has only two left, and no row runs twice."""
    runs.write(12)
    runs.scenario("crash_after = 5\n")
    client = runs.client()
    job = client.create(runs.file_rows(), runs.spec())
    assert [row["custom_id"] for row in read(client, job)] == [f"{LABEL}-{n}" for n in range(12)]
    assert runs.engines() == []


def test_one_run_at_a_time(runs: Runs) -> None:
    """A second holder of the same rows does not begin before the first one has let go of them."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 20\n")
    client = runs.client()
    ended: list[Exception] = []

    def first() -> None:
        try:
            client.create(runs.file_rows(), runs.spec())
        except JobInterruptedError as error:
            ended.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    runs.wait_for_answers(2)
    with pytest.raises(JobInterruptedError, match="another run over these rows"):
        runs.client().create(runs.file_rows(), runs.spec())
    client.interrupt(runs.name)
    thread.join(30)
    assert len(ended) == 1
    runs.scenario("")
    job = runs.create()
    assert [row["custom_id"] for row in read(client, job)] == [f"{LABEL}-{n}" for n in range(20)]


def test_an_error_holds_no_secret_and_no_prompt(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to the store: what the environment and the options hold in confidence is masked, rows are cut out."""
    monkeypatch.setenv("HF_TOKEN", "hf_canary_4711")
    runs.write(1)
    words = "hf_canary_4711 sk-canary-0815 input_value={'q': 'my prompt'}, input_type=dict"
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", "sh -c 'echo \"$WORDS\" >&2; exit 3'")
    monkeypatch.setenv("WORDS", words)
    with pytest.raises(ProviderUnavailableError) as caught:
        runs.create(vllm_args={"hf-token": "sk-canary-0815"})
    assert str(caught.value).endswith("exit code 3: *** *** input_value=***, input_type=dict")


@pytest.mark.parametrize("change", [{"started": 1.0}, {"machine": "elsewhere"}, {"machine_started": 1.0}, {}])
def test_only_what_was_left_behind_is_ended(runs: Runs, change: dict[str, Any]) -> None:
    """A number is a process's only with its start time, and in the container or on the host where it was given."""
    runs.write(1)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as other:
        record = Path(f"{runs.rows}.engine.json")
        record.write_bytes(msgspec.json.encode(msgspec.to_builtins(describe_group(other.pid)) | change))
        record.chmod(0o600)
        end_leftover(record)
        assert (other.poll() is None) == bool(change)
        other.kill()
    assert record.exists() == ("machine" in change), "a worker on that machine ends it"
