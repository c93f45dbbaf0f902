"""Input files of any bytes become shards, or a refusal in words."""

import io
import re
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from batch_router.core import GenerationConfig, UnifiedRequest
from batch_router.exceptions import ValidationError
from batch_router.intake.broken import explain_broken
from batch_router.intake.recognise import recognise
from batch_router.operations.submit import submit
from batch_router.road.context import Context
from batch_router.road.steps.convert import convert
from batch_router.state.items import Batch

from .anything import examples, json_values, lines_like

TURN = {"role": "user", "content": "hi"}
CALL = {"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": 1}}
PARTS = [
    {"type": "text", "text": "a"},
    {"type": "image", "source_type": "base64", "media_type": "image/png", "data": "aGk="},
    {"type": "document", "source_type": "url", "media_type": "application/pdf", "data": "https://a/b.pdf"},
]
OPENAI_CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ROWS: list[dict[str, Any]] = [
    {"custom_id": "a", "prompt": "hi"},
    {"custom_id": "b", "prompt": PARTS, "model": "n", "system_prompt": ["s", "t"]},
    {
        "custom_id": "c",
        "messages": [{"role": "system", "content": "s"}, TURN, {"role": "assistant", "content": [CALL]}, TURN],
        "generation_config": {"max_tokens": 5, "tools": [{"name": "f", "parameters": {}}], "tool_choice": "auto"},
        "provider_kwargs": {"generationConfig": {"a": 1}, "metadata": {}},
    },
    {"custom_id": "d", "prompt": "x", "endpoint": "embeddings"},
    {"custom_id": "e", "prompt": "x", "endpoint": "responses", "generation_config": {"reasoning_effort": "low"}},
    {
        "custom_id": "f",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "m",
            "messages": [
                {"role": "developer", "content": "s"},
                TURN,
                {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]},
                {"role": "tool", "tool_call_id": "c", "content": "4"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}]},
            ],
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "stop": "END",
        },
    },
    {
        "custom_id": "g",
        "method": "POST",
        "url": "/v1/responses",
        "body": {
            "model": "m",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "4"},
            ],
            "text": {"format": {"type": "json_schema", "schema": {}}},
            "reasoning": {"effort": "low"},
        },
    },
    {"custom_id": "h", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "x"}},
]
MORE_NAMES = ["role", "content", "type", "body", "url"]
NAMES = [*UnifiedRequest.__struct_fields__, *GenerationConfig.__struct_fields__, *MORE_NAMES]
LINES = lines_like(ROWS, NAMES)
PROVIDERS = st.sampled_from(["openai", "anthropic", "google", "vllm"])


@examples(80)
@given(
    lines=st.lists(LINES, max_size=5),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    end=st.sampled_from([b"\n", b"\r\n"]),
    provider=PROVIDERS,
    unsupported=st.sampled_from(["error", "drop", "drop"]),
    check_rows=st.sampled_from([None, 0]),
)
def test_any_file_is_sent_or_refused(
    context: Context,
    tmp_path: Path,
    lines: list[bytes],
    mark: bytes,
    end: bytes,
    provider: str,
    unsupported: Any,
    check_rows: int | None,
) -> None:
    """A refusal is short and printable; what is sent has each row once, as JSON."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(mark + end.join(lines))
    config = GenerationConfig(max_tokens=10)
    try:
        hint = submit(
            context,
            provider,
            {
                "input": path,
                "model": "m",
                "unsupported": unsupported,
                "generation_config": config if provider == "anthropic" else None,
                "check_rows": check_rows,
            },
        )
        batch = context.store.claim(hint.id, 1, lease=60, holder="w")
        assert isinstance(batch, Batch)
        outcome = convert(context, batch)
    except ValidationError as error:
        assert_shown(str(error))
        return
    found = [line for shard in outcome.spawn for line in _read(context, shard.row_ids)]
    assert sorted(row for row, *_ in found) == list(range(len(found)))
    assert sum(len(_read(context, shard.requests)) for shard in outcome.spawn) == len(found)


def _read(context: Context, name: str) -> list[Any]:
    return [msgspec.json.decode(line) for line in Path(context.storage.address, name).read_bytes().splitlines()]


def assert_shown(text: str) -> None:
    """A refusal can stand on a terminal and in a report."""
    assert len(text) < 40_000
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]", text)


@examples(60)
@given(requests=st.lists(json_values(NAMES) | st.sampled_from(ROWS), max_size=4), provider=PROVIDERS)
def test_any_requests_are_taken_or_refused(context: Context, requests: list[Any], provider: str) -> None:
    """The same of values that a program gives."""
    try:
        submit(context, provider, {"requests": requests, "model": "m"})
    except ValidationError as error:
        assert_shown(str(error))


@examples(200)
@given(line=LINES)
def test_any_broken_line_is_explained(line: bytes) -> None:
    """A line that the decoder refuses gets a sentence, whatever it holds."""
    wrong = msgspec.DecodeError("wrong")
    assert explain_broken(line, wrong)


@examples(200)
@given(
    content=st.lists(LINES, max_size=3).map(b"\n".join),
    before=st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"[", b"{", b"\n", b"a,b\n", b"PK\x03\x04"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-32-be"]),
)
def test_any_beginning_is_looked_at(content: bytes, before: bytes, encoding: str) -> None:
    """A file is left at its start, and what is said of it can be shown."""
    stream = io.BytesIO(before + content.decode("latin-1").encode(encoding))
    assert_shown(recognise(stream) or "")
    assert stream.tell() == 0
