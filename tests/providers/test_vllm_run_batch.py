"""Chunks of rows, and rows that vLLM would abort on: over real processes of the stand-in."""

import json
import sys
import threading
from typing import Any

import msgspec
import pytest

from batch_router.core import ErrorType
from batch_router.core.jobs import Job
from batch_router.exceptions import JobInterruptedError, ProviderAPIError, RequestRefusedError
from batch_router.providers.vllm.process import log
from batch_router.providers.vllm.rows import RowError
from batch_router.providers.vllm.rows import read as read_row
from tests.providers.vllm_runs import LABEL, Runs, decode, read, request, runs, wire

__all__ = ["runs"]


def errors(runs: Runs, job: Job) -> dict[int, str]:
    """Of the rows that failed, by number."""
    decoded = [decode(row) for row in read(runs.client(), job)]
    return {int(each.custom_id.rpartition("-")[2]): each.error.type for each in decoded if each.error is not None}


def test_rows_run_in_chunks(runs: Runs) -> None:
    """Every row is answered once, in order, and nothing is left but rows and answers."""
    runs.write(12)
    job = runs.create(chunk_rows=5)
    assert [row["custom_id"] for row in read(runs.client(), job)] == [f"{LABEL}-{n}" for n in range(12)]
    assert sorted(path.name for path in runs.folder.iterdir()) == ["rows.jsonl", "rows.jsonl.out.jsonl"]


def test_a_row_that_breaks_the_engine_fails_alone(runs: Runs) -> None:
    """Chunks are halved until it is by itself; the others have their answers."""
    runs.write(13)
    runs.scenario('poison = "say 7$"\n')
    job = runs.create(chunk_rows=8)
    assert errors(runs, job) == {7: ErrorType.SERVER}
    assert len(read(runs.client(), job)) == 13


# As vLLM was before 0.33: a run that breaks down leaves no answer. It counts its runs.
ALL_OR_NOTHING = """
import subprocess, sys
with open(sys.argv[1], "a") as runs:
    runs.write("run\\n")
code = subprocess.run([sys.executable, "-m", "batch_router.simulator.vllm", *sys.argv[2:]]).returncode
if code:
    open(sys.argv[sys.argv.index("-o") + 1], "w").close()
sys.exit(code)
"""


def test_a_row_is_looked_for_among_the_suspects_alone(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came well out of a smaller run does not widen the search again: a model is loaded for each step of it."""
    runs.write(32)
    runs.scenario('poison = "say 21$"\n')
    count = runs.folder / "count"
    (runs.folder / "vllm.py").write_text(ALL_OR_NOTHING)
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", f"{sys.executable} {runs.folder / 'vllm.py'} {count}")
    job = runs.create(chunk_rows=32)
    assert errors(runs, job) == {21: ErrorType.SERVER}
    # 32, 16 ok, 8, 4 ok, 2, 1 ok, 1: found; then the next one by itself, and the rest
    assert count.read_text().count("run") == 9


def test_an_engine_that_no_row_survives_is_given_up(runs: Runs) -> None:
    """After three rows, each by itself; it does not go on for ever."""
    runs.write(20)
    runs.scenario('poison = "say"\n')
    with pytest.raises(RequestRefusedError, match=r"(?s)breaks down on every row: .*EngineDeadError"):
        runs.create()


BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}
ROW: dict[str, Any] = {"custom_id": f"{LABEL}-1", "method": "POST", "url": "/v1/chat/completions", "body": BODY}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (ROW | {"body": BODY | {"messages": "hi"}}, "`array`"),
        (ROW | {"body": {"model": "m"}}, "`messages`"),
        (ROW | {"body": BODY | {"temperature": "hot"}}, "`float"),
        (ROW | {"body": BODY | {"top_k": [1]}}, "`int"),
        (ROW | {"body": BODY | {"n": 129}}, "`int` <= 128"),
        (ROW | {"url": "/v1/responses"}, "no /v1/responses"),
        ({"custom_id": "x", "url": "/v1/embeddings"}, "`body`"),
        (ROW | {"body": BODY | {"temperature": "0.5", "guided_decoding": 7, "stop": "x"}}, None),
        (ROW | {"url": "/v1/embeddings", "body": {"model": "m", "input": ["a"]}}, None),
        (ROW | {"url": "/v1/score", "body": {"model": "m", "text_1": "a", "text_2": ["b", "c"]}}, None),
        (ROW | {"url": "/v1/score", "body": {"model": "m", "queries": "a", "documents": ["b"]}}, None),
        (ROW | {"url": "/v1/score", "body": {"model": "m", "data_1": {"content": [IMAGE]}, "data_2": "b"}}, "`str"),
        (ROW | {"url": "/v1/rerank", "body": {"model": "m", "query": "a", "documents": ["b"], "top_n": 1}}, None),
        (
            ROW | {"url": "/v1/rerank", "body": {"model": "m", "query": "a", "documents": [{"content": [IMAGE]}]}},
            "`str",
        ),
    ],
)
def test_what_vllm_would_abort_on_is_found_before(row: dict[str, Any], problem: str | None) -> None:
    """It is lenient where vLLM is: numbers in quotes, unknown fields."""
    line = json.dumps(row).encode()
    if problem is None:
        assert read_row(line, "m").body == row["body"]
    else:
        with pytest.raises(RowError, match=problem):
            read_row(line, "m")


@pytest.mark.parametrize("engine", ["run-batch", "serve"])
@pytest.mark.parametrize(
    ("url", "body", "answer"),
    [
        ("/v1/score", {"model": "m", "text_1": "a", "text_2": ["b", "c"]}, ("data", 2)),
        ("/v1/rerank", {"model": "m", "query": "a", "documents": ["b", "c", "d"]}, ("results", 3)),
    ],
)
def test_texts_are_scored(runs: Runs, engine: str, url: str, body: dict[str, Any], answer: tuple[str, int]) -> None:
    """Rows of the endpoints that only vLLM has are answered, and the result has the whole answer."""
    runs.rows.write_bytes(json.dumps(ROW | {"url": url, "body": body}).encode() + b"\n")
    client = runs.client(engine=engine)
    (row,) = read(client, client.create(runs.file_rows(), runs.spec()))
    result = decode(row)
    assert result.is_successful(), result.error
    assert len(msgspec.json.decode(msgspec.json.encode(result.response))[answer[0]]) == answer[1]


def test_a_row_that_is_not_valid_fails_alone(runs: Runs) -> None:
    """The engine never sees it."""
    bad = request(provider_kwargs={"temperature": "hot"})
    runs.rows.write_bytes(wire(request()) + wire(bad, f"{LABEL}-1") + wire(request(), f"{LABEL}-2"))
    assert errors(runs, runs.create()) == {1: ErrorType.INVALID_REQUEST}


@pytest.mark.parametrize("words", ["Invalid request on line 1", "1 validation error for BatchRequestInput"])
def test_a_row_that_only_the_engine_refuses_fails_alone(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Since 0.33 it says which line it gave up on; before, the chunk is halved."""
    runs.write(1)
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", f"sh -c 'echo {words} >&2; exit 1'")
    assert list(errors(runs, runs.create())) == [0]


@pytest.mark.parametrize(
    ("words", "kind", "retryable"),
    [
        ("vllm: error: unrecognized arguments: --no-such 1", "engine_option", False),
        ("OSError: m is not a local folder and is not a valid model identifier", "model_not_found", False),
        ("HFValidationError: Repo id must be in the form 'a/b': '/nowhere/model'.", "model_not_found", False),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out_of_memory", True),
        ("ValueError: No available memory for the cache blocks.", "out_of_memory", True),
        ("ValueError: 8 GiB is needed, which is larger than the available KV cache", "engine_option", False),
        ("OSError: [Errno 28] No space left on device", "no_space", True),
        ("Segmentation fault", "provider_unavailable", True),
    ],
)
def test_the_last_words_are_understood(words: str, kind: str, retryable: bool) -> None:
    """Each has a type of its own: it waits, or it ends."""
    error = log.error_of(1, words)
    assert isinstance(error, ProviderAPIError)
    assert (error.type, error.retryable) == (kind, retryable)


def test_an_interrupted_job_goes_on_where_it_was(runs: Runs) -> None:
    """The engine is gone when `create` raises, and no row that was answered runs again."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 20\n")
    client = runs.client()
    raised: list[Exception] = []

    def first() -> None:
        try:
            client.create(runs.file_rows(), runs.spec())
        except JobInterruptedError as error:
            raised.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    runs.wait_for_answers(3)
    client.interrupt(runs.name)
    thread.join(30)
    assert len(raised) == 1
    assert runs.engines() == []
    (part,) = runs.folder.glob("*.part-*")
    kept = part.read_bytes()
    runs.scenario("")
    job = client.create(runs.file_rows(), runs.spec())
    assert (runs.home / job.outputs[0]).read_bytes().startswith(kept)
    assert [row["custom_id"] for row in read(client, job)] == [f"{LABEL}-{n}" for n in range(20)]


def test_a_running_job_counts_its_rows(runs: Runs) -> None:
    """What the engine says of its progress, and what earlier chunks have."""
    runs.write(20)
    runs.scenario("[latency]\nin_progress = 4\n")
    client = runs.client()
    thread = threading.Thread(target=lambda: client.create(runs.file_rows(), runs.spec()))
    thread.start()
    runs.wait_for_answers(8)
    seen = client.get(runs.name).completed
    thread.join(30)
    assert 5 <= seen <= 20
