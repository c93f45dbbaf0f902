"""Answers of any bytes: one result for each row, whatever the provider sends."""

import copy
import functools
import json
import operator
from collections.abc import Callable, Iterator
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
from batch_router.state.parts import Part

from ..security.test_hostile_answer_rows import LABEL, PROVIDERS, answer, refusal, shard_of
from .anything import examples, json_values, lines_like

NAMES = [
    "id", "custom_id", "key", "response", "result", "error", "status", "status_code", "request_id", "body", "message",
    "content", "choices", "type", "text", "usage", "tool_calls", "function", "arguments", "code", "candidates", "parts",
    "functionCall", "args", "output", "embedding", "values", "object", "data", "finish_reason", "stop_reason",
    "call_id", "annotations", "citations", "images", "image_url", "url", "inlineData", "summary", "signature",
    "thoughtSignature", "iterations", "server_tool_use", "groundingMetadata", "index", "b64_json", "refusal",
]  # fmt: skip
ROWS = 3


def openai_answers(row: int) -> list[dict[str, Any]]:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    image = {"image_url": {"url": "data:image/png;base64,AAAA"}}
    message = {"content": "x", "refusal": "no", "reasoning": "r", "tool_calls": calls, "images": [image]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}
    cited = [{"type": "url_citation", "url": "https://a"}]
    item = {"type": "message", "content": [{"type": "output_text", "text": "x", "annotations": cited}]}
    own = [{"type": "web_search_call", "id": "w"}, {"type": "image_generation_call", "id": "i", "result": "AAAA"}]
    thought = {"type": "reasoning", "id": "r", "summary": [{"text": "r"}], "encrypted_content": "e"}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    bodies: list[dict[str, Any]] = [
        {"object": "chat.completion", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}]},
        {"object": "response", "status": "failed", "error": {"message": "x"}, "output": [item, call], "usage": usage},
        {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "x"}, "output": [item]},
        {"object": "response", "status": "completed", "output": [thought, *own, item, call], "usage": usage},
        {"object": "list", "data": [{"index": 1, "embedding": [0.5]}, {"index": 0, "embedding": "AACAPw=="}]},
        {"data": [{"b64_json": "AAAA"}, {"url": "https://a"}], "usage": {"input_tokens": 1}},
        {"error": {"message": "x", "code": "insufficient_quota"}},
    ]
    found = [{"status_code": 200, "request_id": "r", "body": body} for body in bodies]
    rows = [{"id": "b", "custom_id": f"{LABEL}-{row}", "response": each, "error": None} for each in found]
    expired = {"code": "batch_expired", "message": "x"}
    return [*rows, {"id": "b", "custom_id": f"{LABEL}-{row}", "response": None, "error": expired}]


def anthropic_answers(row: int) -> list[dict[str, Any]]:
    blocks = [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": "https://a"}]},
        {"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "a"}]},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
    ]
    tokens = {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 1}
    iterations = [tokens | {"type": "compaction"}, tokens | {"type": "message"}]
    usage = tokens | {"iterations": iterations, "server_tool_use": {"web_search_requests": 1}}
    message = {"content": blocks, "stop_reason": "refusal", "stop_details": {"explanation": "no"}, "usage": usage}
    results = [{"type": "succeeded", "message": message}, {"type": "expired"}, {"type": "canceled"}]
    return [{"custom_id": f"{LABEL}-{row}", "result": result} for result in results]


def google_answers(row: int) -> list[dict[str, Any]]:
    parts = [
        {"text": "t", "thought": True, "thoughtSignature": "s"},
        {"text": "x"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
    ]
    grounding = {"groundingChunks": [{"web": {"uri": "https://a"}}], "webSearchQueries": ["a"]}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "thoughtsTokenCount": 1}
    responses: list[dict[str, Any]] = [
        {
            "candidates": [{"content": {"parts": parts}, "finishReason": "STOP", "groundingMetadata": grounding}],
            "usageMetadata": usage,
        },
        {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "no"}},
        {"embedding": {"values": [0.5]}, "tokenCount": "1"},
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


# --- a part that is changed -----------------------------------------------------------------------------------------

#: The name of the folder with a provider's recorded rows, where it is another
FOLDERS = {"google": "gemini"}
# Where a text is, is said by the names and kinds around it.
KINDS = ("type", "thought")


@functools.cache
def rows_with_text(provider: str, shared: Path | None = None) -> list[tuple[Any, str]]:
    """The answers above that have a text, or recorded ones, each with its text."""
    more = {"anthropic": anthropic_answers, "google": google_answers}.get(provider, openai_answers)
    lines = [_encode(row) for row in more(0)] if shared is None else recorded(shared / "golden", provider)
    results = [(line, find_provider(provider).codec.decode(line, "a")[0]) for line in lines]
    return [(json.loads(line), each.text) for line, each in results if each.is_successful() and each.text is not None]


def recorded(golden: Path, provider: str) -> list[bytes]:
    """The recorded rows of a provider, at most twenty of each file."""
    paths = sorted((golden / FOLDERS.get(provider, provider)).glob("*.jsonl"))
    return [line for path in paths for line in path.read_bytes().split(b"\n")[:20] if line.strip()]


def places(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Where each value lies in another, by the names and numbers that lead to it."""
    names = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield (name,)
        yield from ((name, *inner) for inner in places(value[name]))


def is_beside_the_text(row: Any, place: tuple[str | int, ...], text: str) -> bool:
    """Whether a place holds no part of the text, and does not say that it is one."""
    found = row
    for name in place:
        found = found[name]
    inner = [found, *(functools.reduce(operator.getitem, each, found) for each in places(found))]
    texts = [each for each in inner if isinstance(each, str) and each and each in text]
    return not texts and place[-1] not in KINDS


@st.composite
def altered(draw: st.DrawFn, row: Any, place: tuple[str | int, ...]) -> bytes:
    """The row with another value, or none, in one place."""
    row = copy.deepcopy(row)
    *outer, last = place
    holder = functools.reduce(operator.getitem, outer, row)
    if draw(st.booleans()) and isinstance(holder, dict):
        del holder[last]
    else:
        holder[last] = draw(json_values(NAMES))
    return json.dumps(row).encode("utf-8", "surrogatepass")


def check_that_texts_stay(provider: str, rows: list[tuple[Any, str]], data: st.DataObject) -> None:
    row, text = data.draw(st.sampled_from(rows))
    place = data.draw(st.sampled_from([each for each in places(row) if is_beside_the_text(row, each, text)]))
    result, _ = find_provider(provider).codec.decode(data.draw(altered(row, place)), "a")
    assert not result.is_successful() or result.text == text
    assert msgspec.json.decode(_encode(result), type=UnifiedResult).text == result.text


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(100)
@given(data=st.data())
def test_a_changed_part_costs_no_text(provider: str, data: st.DataObject) -> None:
    """Whatever stands beside the text of an answer, or is missing, the text is read."""
    check_that_texts_stay(provider, rows_with_text(provider), data)


@pytest.mark.parametrize("provider", PROVIDERS)
@examples(100)
@given(data=st.data())
def test_a_changed_part_of_a_recorded_answer_costs_no_text(shared: Path, provider: str, data: st.DataObject) -> None:
    """So it is with answers of the real services."""
    check_that_texts_stay(provider, rows_with_text(provider, shared), data)


# --- the whole step -------------------------------------------------------------------------------------------------


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
