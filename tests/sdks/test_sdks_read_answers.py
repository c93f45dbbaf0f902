"""Answers and the types of the official SDKs: they read what results keep, and what they write is an answer."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic import types as anthropic_types
from google.genai import types as google_types
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from pydantic import BaseModel

from batch_router import BatchRouter
from batch_router.core import UnifiedResult
from batch_router.providers import find_provider
from batch_router.settings import Settings
from batch_router.simulator import Simulator
from tests.providers.answers import Row, openai

#: What the SDKs make of a body, and the text and the tokens that they find in it: input, output
Seen = tuple[str | None, int | None, int | None]


def seen_by_openai(body: Row) -> Seen:
    if body.get("object") == "response":
        # Bodies of 2025 lack fields that today's SDK wants; it reads answers without checking them, too.
        answer = Response.construct(**body)
        assert answer.usage
        return answer.output_text, answer.usage.input_tokens, answer.usage.output_tokens
    completion = ChatCompletion.model_validate(body)
    assert completion.usage
    usage = completion.usage
    return completion.choices[0].message.content, usage.prompt_tokens, usage.completion_tokens


def seen_by_anthropic(body: Row) -> Seen:
    message = anthropic_types.Message.construct(**body)
    texts = [block.text for block in message.content if block.type == "text"]
    usage = message.usage
    cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    return "".join(texts), usage.input_tokens + cached, usage.output_tokens


def seen_by_google(body: Row) -> Seen:
    answer = google_types.GenerateContentResponse.model_validate(body)
    usage = answer.usage_metadata
    assert usage
    made = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return answer.text, usage.prompt_token_count, made


SEEN: dict[str, Callable[[Row], Seen]] = {
    "openai": seen_by_openai,
    "vllm": seen_by_openai,
    "anthropic": seen_by_anthropic,
    "google": seen_by_google,
}


def seen_by_us(result: UnifiedResult) -> Seen:
    assert result.usage
    return result.text, result.usage.input_tokens, result.usage.output_tokens


def read(provider: str, row: Row) -> UnifiedResult:
    line = json.dumps(row).encode()
    result, repaired = find_provider(provider).codec.decode(line, "q1")
    assert not repaired
    return msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult)


@pytest.mark.parametrize("folder", ["openai", "anthropic", "gemini", "vllm"])
def test_the_sdks_read_recorded_answers_back(shared: Path, folder: str) -> None:
    """What a result keeps of a recorded answer is the SDK's answer, with the same text and tokens."""
    provider = {"gemini": "google"}.get(folder, folder)
    count = 0
    for path in sorted((shared / "golden" / folder).glob("*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            if not line.strip() or "input" in path.name or "tasks" in path.name:
                continue
            result = read(provider, json.loads(line))
            if result.is_successful():
                assert SEEN[provider](result.response) == seen_by_us(result)
                count += 1
    assert count >= 5


PATHS = {"openai": "/openai/v1", "anthropic": "/anthropic", "google": "/google"}


def answered(home: Path, provider: str, **more: Any) -> list[UnifiedResult]:
    """The results of three requests that went the whole road to the simulator."""
    rows = [{"custom_id": f"q{n}", "prompt": f"Hello {n}"} | more for n in range(3)]

    async def main(url: str) -> list[UnifiedResult]:
        async with BatchRouter(Settings(home=home), in_memory=True) as router:
            router.register_provider(find_provider(provider)(api_key="k", base_url=url + PATHS[provider]))
            batch_id = await router.send_batch(provider, rows, model="m")
            await router.wait_for_completion(provider, batch_id)
            return [result async for result in router.get_results(provider, batch_id)]

    with Simulator() as simulator:
        results = asyncio.run(main(simulator.url))
    assert [result.status for result in results] == ["succeeded"] * 3
    return results


@pytest.mark.parametrize(
    ("provider", "endpoint"), [("openai", "chat"), ("openai", "responses"), ("anthropic", "chat"), ("google", "chat")]
)
def test_the_sdks_read_answers_of_a_batch_back(tmp_path: Path, provider: str, endpoint: str) -> None:
    """So they do with the results of a batch that went the whole road to the simulator."""
    for result in answered(tmp_path, provider, endpoint=endpoint, generation_config={"max_tokens": 9}):
        assert SEEN[provider](result.response) == seen_by_us(result)


def test_the_sdk_reads_embeddings_of_a_batch_back(tmp_path: Path) -> None:
    """With the numbers that the result has."""
    for result in answered(tmp_path, "openai", endpoint="embeddings"):
        answer = CreateEmbeddingResponse.model_validate(result.response)
        assert answer.data[0].embedding == result.embedding
        assert result.usage is not None
        assert answer.usage.prompt_tokens == result.usage.input_tokens


# --- what the SDKs write --------------------------------------------------------------------------------------------


def dumped(answer: BaseModel) -> Row:
    plain: Row = answer.model_dump(mode="json", by_alias=True)
    return plain


def test_a_completion_of_the_sdk_is_an_answer() -> None:
    """With all the nulls that its dump has; its calls of both kinds are tool calls."""
    calls: list[Any] = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}},
    ]
    message = {"role": "assistant", "content": "hi", "tool_calls": calls}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message, "logprobs": None}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    row = openai(dumped(ChatCompletion.model_validate(body)))
    result = read("openai", row)
    assert (result.text, result.response) == ("hi", row["response"]["body"])
    assert result.tool_calls == [
        {"id": "c1", "name": "f", "arguments": {"a": 1}},
        {"id": "c2", "name": "sql", "arguments": "select 1"},
    ]
    assert seen_by_openai(result.response) == seen_by_us(result) == ("hi", 3, 2)


def test_a_response_of_the_sdk_is_an_answer() -> None:
    """Reasoning, messages and calls are where they belong."""
    output: list[Row] = [
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "e",
        },
        {
            "type": "message",
            "id": "msg",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 5,
    }
    body = {
        "id": "resp",
        "object": "response",
        "created_at": 1.0,
        "model": "m",
        "status": "completed",
        "output": output,
        "usage": usage,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    row = openai(dumped(Response.model_validate(body)))
    result = read("openai", row)
    assert (result.response, result.thoughts[0]["data"]) == (row["response"]["body"], "e")
    assert result.tool_calls == [{"id": "c", "name": "f", "arguments": {}}]
    assert result.usage is not None
    assert (result.usage.cached_tokens, result.usage.cache_write_tokens, result.usage.reasoning_tokens) == (1, 2, 1)
    assert seen_by_openai(result.response) == seen_by_us(result) == ("hi", 3, 2)


def test_embeddings_of_the_sdk_are_an_answer() -> None:
    """One for each input."""
    data: list[Any] = [{"object": "embedding", "index": index, "embedding": [float(index)]} for index in range(2)]
    usage: Any = {"prompt_tokens": 2, "total_tokens": 2}
    body = CreateEmbeddingResponse.model_validate({"object": "list", "model": "e", "data": data, "usage": usage})
    assert read("openai", openai(dumped(body))).embeddings == [[0.0], [1.0]]


def test_a_message_of_the_sdk_is_an_answer() -> None:
    """Its thoughts, calls and citations are found; what is null is not missed."""
    content: list[Row] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {
            "type": "text",
            "text": "hi",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "a",
                    "document_index": 0,
                    "document_title": None,
                    "start_char_index": 0,
                    "end_char_index": 1,
                    "file_id": None,
                }
            ],
        },
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
    ]
    usage = {"input_tokens": 3, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 5, "output_tokens": 2}
    message = anthropic_types.Message.model_validate(
        {
            "id": "msg",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": content,
            "stop_reason": "tool_use",
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": usage,
        }
    )
    row = {"custom_id": "t-0", "result": {"type": "succeeded", "message": dumped(message)}}
    result = read("anthropic", row)
    assert result.response == dumped(message)
    assert result.thoughts == [{"type": "thinking", "text": "hm", "signature": "s"}]
    assert result.tool_calls == [{"id": "c", "name": "f", "arguments": {"a": 1}}]
    assert result.citations == dumped(message)["content"][1]["citations"]
    assert seen_by_anthropic(result.response) == seen_by_us(result) == ("hi", 12, 2)


def test_a_response_of_googles_sdk_is_an_answer() -> None:
    """Thoughts, sealed calls and images are found under the names of the wire."""
    parts = [
        google_types.Part(text="hm", thought=True, thought_signature=b"s"),
        google_types.Part(text="hi"),
        google_types.Part(inline_data=google_types.Blob(mime_type="image/png", data=b"png")),
        google_types.Part(function_call=google_types.FunctionCall(name="f", args={"a": 1}), thought_signature=b"c"),
    ]
    answer = google_types.GenerateContentResponse(
        candidates=[
            google_types.Candidate(
                content=google_types.Content(role="model", parts=parts),
                finish_reason=google_types.FinishReason.STOP,
            )
        ],
        usage_metadata=google_types.GenerateContentResponseUsageMetadata(
            prompt_token_count=3, candidates_token_count=2, thoughts_token_count=1, total_token_count=6
        ),
        model_version="m",
    )
    result = read("google", {"key": "t-0", "response": dumped(answer)})
    encoded = {name: base64.b64encode(value).decode() for name, value in {"s": b"s", "c": b"c", "png": b"png"}.items()}
    assert result.thoughts == [{"type": "thinking", "text": "hm", "signature": encoded["s"]}]
    assert result.tool_calls == [{"id": "call_0", "name": "f", "arguments": {"a": 1}, "signature": encoded["c"]}]
    assert result.images == [{"media_type": "image/png", "data": encoded["png"]}]
    assert (result.finish_reason, result.model) == ("tool_calls", "m")
    assert seen_by_google(result.response) == seen_by_us(result) == ("hi", 3, 3)
