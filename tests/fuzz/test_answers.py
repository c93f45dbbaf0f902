"""Answers of any bytes: one result for each row, whatever the provider sends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_router.core import UnifiedResult
from batch_router.providers import find_provider
from batch_router.road.context import Context
from batch_router.road.steps.normalize import normalize
from batch_router.state.items import Part

from ..security.test_hostile_answer_rows import LABEL, PROVIDERS, answer, refusal, shard_of
from .anything import examples, lines_like

NAMES = [
    "id", "custom_id", "key", "response", "result", "error", "status", "status_code", "request_id", "body", "message",
    "content", "choices", "type", "text", "usage", "tool_calls", "function", "arguments", "code", "candidates", "parts",
    "functionCall", "args", "output", "embedding", "values", "object", "data", "finish_reason", "stop_reason",
]  # fmt: skip
ROWS = 3


def openai_answers(row: int) -> list[dict[str, Any]]:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    message = {"content": "x", "refusal": "no", "reasoning": "r", "tool_calls": calls}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}
    item = {"type": "message", "content": [{"type": "output_text", "text": "x"}]}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    bodies: list[dict[str, Any]] = [
        {"object": "chat.completion", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]},
        {"object": "response", "status": "failed", "error": {"message": "x"}, "output": [item, call], "usage": usage},
        {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "x"}, "output": [item]},
        {"object": "list", "data": [{"embedding": [0.5]}], "usage": usage},
        {"error": {"message": "x", "code": "insufficient_quota"}},
    ]
    found = [{"status_code": 200, "request_id": "r", "body": body} for body in bodies]
    rows = [{"id": "b", "custom_id": f"{LABEL}-{row}", "response": each, "error": None} for each in found]
    expired = {"code": "batch_expired", "message": "x"}
    return [*rows, {"id": "b", "custom_id": f"{LABEL}-{row}", "response": None, "error": expired}]


def anthropic_answers(row: int) -> list[dict[str, Any]]:
    blocks = [{"type": "thinking", "thinking": "t"}, {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 1}
    message = {"content": blocks, "stop_reason": "refusal", "stop_details": {"explanation": "no"}, "usage": usage}
    results = [{"type": "succeeded", "message": message}, {"type": "expired"}, {"type": "canceled"}]
    return [{"custom_id": f"{LABEL}-{row}", "result": result} for result in results]


def google_answers(row: int) -> list[dict[str, Any]]:
    parts = [{"text": "x", "thought": True}, {"functionCall": {"name": "f", "args": {"a": 1}}}]
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "thoughtsTokenCount": 1}
    responses: list[dict[str, Any]] = [
        {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage},
        {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "no"}},
        {"embedding": {"values": [0.5]}},
    ]
    return [{"key": f"{LABEL}-{row}", "response": response} for response in responses]


def lines_of(provider: str) -> st.SearchStrategy[bytes]:
    more = {"anthropic": anthropic_answers, "google": google_answers}.get(provider, openai_answers)
    values: list[Any] = []
    for row in range(ROWS + 1):  # of which one is too many
        values += [msgspec.json.decode(line) for line in (answer(provider, row), refusal(provider, row, "x"))]
        values += more(row)
    return lines_like(values, NAMES)


LINES: dict[str, st.SearchStrategy[bytes]] = {provider: lines_of(provider) for provider in PROVIDERS}
_encode: Callable[[object], bytes] = msgspec.json.encode


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(100)
@given(data=st.data())
def test_any_line_is_read_or_is_no_json(provider: str, data: st.DataObject) -> None:
    """A codec reads the row id of anything, and gives a result that can be written, or a `ValueError`."""
    codec = find_provider(provider).codec
    line = data.draw(LINES[provider])
    row_id = codec.read_row_id(line)
    assert row_id is None or isinstance(row_id, str)
    try:
        result, _ = codec.decode(line, "a")
    except ValueError:
        return
    assert msgspec.json.decode(_encode(result), type=UnifiedResult).custom_id == "a"


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(25)
@given(data=st.data())
def test_the_books_balance(context: Context, provider: str, data: st.DataObject) -> None:
    """Each row has one result, in its place, and each line is a row's or counted."""
    lines = data.draw(st.lists(LINES[provider], max_size=6))
    with context.storage.write("ids") as stream:
        stream.writelines(_encode([row, f"q{row}"]) + b"\n" for row in range(ROWS))
    with context.storage.write("answers") as stream:
        stream.write(b"\n".join(lines))
    outcome = normalize(context, shard_of(provider, ROWS, context.storage.size("answers")))
    part = outcome.facts.get("part")
    assert isinstance(part, Part)
    written = Path(context.storage.address, part.name).read_bytes().split(b"\n")[:-1]
    results = [msgspec.json.decode(line, type=UnifiedResult) for line in written]
    assert [result.custom_id for result in results] == [f"q{row}" for row in range(ROWS)]
    assert part.succeeded == sum(result.is_successful() for result in results)
    assert part.succeeded + part.errored + part.cancelled + part.expired == ROWS
