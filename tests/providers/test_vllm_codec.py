"""vLLM's rows: what goes out, and what comes back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.core import ErrorType, GenerationConfig, ResultStatus, UnifiedMessage, UnifiedRequest
from batch_router.providers.vllm import codec

LABEL = "0123456789abcdef"


def request(prompt: str = "hi", **fields: Any) -> UnifiedRequest:
    message = UnifiedMessage(role="user", content=prompt)
    return UnifiedRequest(**({"custom_id": "q", "model": "m", "messages": [message]} | fields))


def wire(row: UnifiedRequest, row_id: str = f"{LABEL}-0") -> bytes:
    return msgspec.json.encode(codec.encode(row, row_id)) + b"\n"


def test_a_request_goes_out_as_a_chat_row() -> None:
    """OpenAI's row, and `top_k` besides."""
    row = json.loads(wire(request(generation_config=GenerationConfig(top_k=3, max_tokens=5, seed=1))))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert row == {
        "custom_id": f"{LABEL}-0",
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
    result, _ = codec.decode(json.dumps({"custom_id": "t-0", "response": response, "error": error}).encode(), "q1")
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
        result, repaired = codec.decode(line, row["custom_id"])
        assert (result.status, repaired) == (ResultStatus.SUCCEEDED, False)
        assert result.text == row["response"]["body"]["choices"][0]["message"]["content"]
        found = list(leaves(msgspec.json.decode(msgspec.json.encode(result))))
        assert all(leaf in found for leaf in leaves(row["response"]["body"]))
        assert row["custom_id"] in found


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thoughts_are_read_under_both_names(field: str) -> None:
    """The name changed with 0.33."""
    body = {"choices": [{"message": {"content": "4", field: "2 + 2"}, "finish_reason": "stop"}]}
    response = {"status_code": 200, "request_id": "r", "body": body}
    result, _ = codec.decode(json.dumps({"custom_id": "t-0", "response": response, "error": None}).encode(), "q1")
    assert (result.text, result.reasoning) == ("4", "2 + 2")
