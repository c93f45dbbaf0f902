"""Every endpoint that takes batches is answered in the shape that the SDK reads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest
from openai.types import (
    Completion,
    CreateEmbeddingResponse,
    ImagesResponse,
    ModerationCreateResponse,
    Video,
)
from openai.types.chat import ChatCompletion

from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.openai_answers import ENDPOINTS
from batch_router.simulator.vllm.answers import answer

BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "/v1/chat/completions": (ChatCompletion, {"messages": [{"role": "user", "content": "hi"}]}),
    "/v1/responses": (None, {"input": "hi"}),  # the SDK's model refuses real answers, too
    "/v1/embeddings": (CreateEmbeddingResponse, {"input": ["a", "b"]}),
    "/v1/completions": (Completion, {"prompt": ["a", "b"], "n": 2}),
    "/v1/moderations": (ModerationCreateResponse, {"input": [{"type": "text", "text": "x"}]}),
    "/v1/images/generations": (ImagesResponse, {"prompt": "a cat", "n": 2}),
    "/v1/images/edits": (ImagesResponse, {"prompt": "a hat", "images": [{"file_id": "file-1"}]}),
    "/v1/videos": (Video, {"prompt": "a cat", "seconds": "8"}),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_endpoint_of_openai_answers(endpoint: str) -> None:
    """A row of the endpoint is answered with 200 and a body that the SDK's type takes."""
    model, body = BODIES[endpoint]
    row = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": "sora-2", **body}}
    with Simulator() as simulator:
        client = openai.OpenAI(api_key="k", base_url=f"{simulator.url}/openai/v1", max_retries=0)
        file = client.files.create(file=("rows.jsonl", json.dumps(row).encode()), purpose="batch")
        made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")  # type: ignore[arg-type]
        done = client.batches.retrieve(made.id)
        answered = json.loads(client.files.content(str(done.output_file_id)).content)["response"]
    assert (done.endpoint, answered["status_code"]) == (endpoint, 200)
    if model is not None:
        pydantic.TypeAdapter(model).validate_python(answered["body"], strict=True)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"text_1": "q", "text_2": ["a", "b"]}, 2),
        ({"queries": ["q", "r"], "documents": ["a", "b"]}, 2),
        ({"data_1": "q", "data_2": "a"}, 1),
    ],
)
def test_vllm_scores_pairs(body: dict[str, Any], count: int) -> None:
    """One query goes with each document, several go pairwise; the same pair has the same score."""
    once, again = (answer(Scenario(), "/v1/score", body, row_id, 0) for row_id in "ab")
    assert [each["index"] for each in once["data"]] == list(range(count))
    assert once["data"] == again["data"]
    assert all(0 <= each["score"] <= 1 for each in once["data"])


def test_vllm_ranks_documents() -> None:
    """The best document comes first, with its place in the request, and `top_n` bounds the list."""
    body = {"model": "m", "query": "q", "documents": ["a", "b", "c"]}
    ranked = answer(Scenario(), "/rerank", body, "a", 0)["results"]
    scores = [each["relevance_score"] for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert [body["documents"][each["index"]] for each in ranked] == [each["document"]["text"] for each in ranked]
    assert answer(Scenario(), "/rerank", body | {"top_n": 1}, "a", 0)["results"] == ranked[:1]


def test_vllm_runs_a_file_of_scores(tmp_path: Path) -> None:
    """`run-batch` takes every URL that ends in `/score` or `/rerank`, and audio."""
    bodies = {
        "/v1/score": {"model": "m", "text_1": "q", "text_2": "a"},
        "/v2/rerank": {"model": "m", "query": "q", "documents": ["a"]},
        "/v1/audio/transcriptions": {"model": "m", "file_url": "https://host.example/a.wav"},
    }
    rows = [{"custom_id": url, "method": "POST", "url": url, "body": body} for url, body in bodies.items()]
    (tmp_path / "in.jsonl").write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    arguments = ["-i", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"), "--model", "m"]
    command = [sys.executable, "-m", "batch_router.simulator.vllm", "run-batch", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().split(b"\n") if line]
    assert {each["custom_id"]: set(each["response"]["body"]) for each in answers} == {
        "/v1/score": {"id", "object", "created", "model", "data", "usage"},
        "/v2/rerank": {"id", "model", "usage", "results"},
        "/v1/audio/transcriptions": {"text", "usage"},
    }
