"""Anthropic's rows: what goes out, byte for byte in meaning, and what comes back, however odd."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_router.core import (
    Content,
    DocumentContent,
    ErrorType,
    FinishReason,
    GenerationConfig,
    ImageContent,
    NamedTool,
    OutputSchema,
    ResultStatus,
    TextContent,
    Tool,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
    UnifiedResult,
    Usage,
)
from batch_router.exceptions import ValidationError
from batch_router.intake.encode import RowEncoder
from batch_router.intake.losses import Translated
from batch_router.intake.rows import row_from
from batch_router.providers import find_provider
from batch_router.providers.anthropic import codec
from batch_router.settings import Settings

USER = {"role": "user", "content": "hi"}
HI = UnifiedMessage(role="user", content="hi")
HELLO = UnifiedMessage(role="assistant", content="hello")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
IMAGE = ImageContent(source_type="base64", media_type="image/png", data="iVBO")
PDF = DocumentContent(source_type="base64", media_type="application/pdf", data="JVBE")


def request(**fields: Any) -> UnifiedRequest:
    config = GenerationConfig(max_tokens=9)
    common: dict[str, Any] = {"custom_id": "q1", "model": "m", "messages": [HI], "generation_config": config}
    return UnifiedRequest(**(common | fields))


def wire(row: UnifiedRequest) -> Any:
    return json.loads(msgspec.json.encode(codec.encode(row, "t-0")))


def config(**fields: Any) -> dict[str, Any]:
    return {"generation_config": GenerationConfig(max_tokens=9, **fields)}


def turn(*content: Content, role: Any = "user", **more: Any) -> UnifiedMessage:
    return UnifiedMessage(role=role, content=list(content), provider_kwargs=more)


def said(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


# --- requests -------------------------------------------------------------------------------------------------------

#: what a request says -> what its params say besides model and max_tokens
PARAMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"messages": [USER]}),
    (
        {"messages": [HI, HELLO, UnifiedMessage.from_text("user", "bye \u2028")]},
        {"messages": [USER, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "bye \u2028"}]},
    ),
    ({"system_prompt": "be brief"}, {"messages": [USER], "system": "be brief"}),
    (
        {"system_prompt": ["one", "two"]},
        {"messages": [USER], "system": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    ),
    (config(stop_sequences=["a", "b"]), {"messages": [USER], "stop_sequences": ["a", "b"]}),
    (config(reasoning_effort="high"), {"messages": [USER], "output_config": {"effort": "high"}}),
    (config(reasoning_effort="none"), {"messages": [USER], "thinking": {"type": "disabled"}}),
    (
        config(output_schema=OutputSchema(schema=SCHEMA), reasoning_effort="low"),
        {
            "messages": [USER],
            "output_config": {"format": {"type": "json_schema", "schema": CLOSED}, "effort": "low"},
        },
    ),
    (
        config(tools=[Tool(name="weather", description="today's", parameters=SCHEMA, strict=True), Tool(name="time")]),
        {
            "messages": [USER],
            "tools": [
                {"name": "weather", "input_schema": CLOSED, "description": "today's", "strict": True},
                {"name": "time", "input_schema": {"type": "object", "properties": {}}},
            ],
        },
    ),
    (config(tool_choice="auto"), {"messages": [USER], "tool_choice": {"type": "auto"}}),
    (config(tool_choice="none"), {"messages": [USER], "tool_choice": {"type": "none"}}),
    (config(tool_choice="required"), {"messages": [USER], "tool_choice": {"type": "any"}}),
    (config(tool_choice=NamedTool(name="time")), {"messages": [USER], "tool_choice": {"type": "tool", "name": "time"}}),
    ({"provider_kwargs": {"service_tier": "auto"}}, {"messages": [USER], "service_tier": "auto"}),
    (
        {"messages": [turn(TextContent(text="what is this?"), IMAGE, PDF)]},
        {
            "messages": [
                said(
                    {"type": "text", "text": "what is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    },
                )
            ]
        },
    ),
    (
        {
            "messages": [
                turn(
                    ImageContent(source_type="url", media_type="image/*", data="https://a/b.png"),
                    DocumentContent(
                        source_type="url", media_type="application/pdf", data="https://a/b.pdf", filename="bill.pdf"
                    ),
                )
            ]
        },
        {
            "messages": [
                said(
                    {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
                    {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}, "title": "bill.pdf"},
                )
            ]
        },
    ),
    (
        {
            "messages": [
                HI,
                turn(
                    TextContent(text="let me see"),
                    ToolCallContent(id="c1", name="weather", arguments={"city": "Oslo"}),
                    role="assistant",
                ),
                turn(
                    TextContent(text="and?"),
                    ToolResultContent(tool_call_id="c1", content="rain", name="weather"),
                    ToolResultContent(tool_call_id="c2", content="no", is_error=True),
                ),
            ]
        },
        {
            "messages": [
                USER,
                said(
                    {"type": "text", "text": "let me see"},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                    role="assistant",
                ),
                said(
                    {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "no", "is_error": True},
                    {"type": "text", "text": "and?"},
                ),
            ]
        },
    ),
    (
        {"messages": [HI, HI, HELLO, HELLO]},
        {"messages": [USER, USER, *[{"role": "assistant", "content": "hello"}] * 2]},
    ),
]


@pytest.mark.parametrize(("fields", "params"), PARAMS)
def test_requests_become_rows(fields: dict[str, Any], params: dict[str, Any]) -> None:
    """A row is what the service takes: our row id, the params, and no key that was not asked for."""
    assert wire(request(**fields)) == {"custom_id": "t-0", "params": {"model": "m", "max_tokens": 9, **params}}


def test_the_users_own_keys_come_last() -> None:
    """`provider_kwargs` win over what we would send, in the params and in a message."""
    message = UnifiedMessage(role="user", content="hi", provider_kwargs={"content": "ho"})
    row = request(messages=[message], provider_kwargs={"model": "other", "max_tokens": 5})
    assert wire(row)["params"] == {
        "model": "other",
        "messages": [{"role": "user", "content": "ho"}],
        "max_tokens": 5,
    }


def test_encoding_changes_nothing() -> None:
    """The same request can be encoded again under another row id."""
    row = request(provider_kwargs={"service_tier": "auto"}, messages=[turn(TextContent(text="?"), IMAGE)])
    before = row.to_dict()
    assert wire(row) == wire(row)
    assert row.to_dict() == before


def test_max_tokens_are_wanted() -> None:
    """A request that does not say how much it may cost is refused with the field and the remedy, unless a key does."""
    for none in (None, GenerationConfig(stop_sequences=["a"])):
        with pytest.raises(ValidationError, match=r"^generation_config\.max_tokens: anthropic wants it .*; set it"):
            wire(request(generation_config=none))
    assert wire(request(generation_config=None, provider_kwargs={"max_tokens": 3}))["params"]["max_tokens"] == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": [HELLO, HI]}, r"messages\[0\]\.role: .* begin with a turn of the user"),
        (config(reasoning_effort="minimal"), "reasoning_effort: anthropic does not take it; it has no 'minimal': ask"),
        (
            {"messages": [turn(ImageContent(source_type="base64", media_type="image/tiff", data="a"))]},
            r"content\[0\]: image/tiff: anthropic does not take it; convert it to one of image/jpeg, image/png",
        ),
        (
            {"messages": [turn(DocumentContent(source_type="base64", media_type="text/plain", data="a"))]},
            "text/plain: anthropic does not take it; convert it to one of application/pdf",
        ),
        (
            {"messages": [HI, turn(PDF, role="assistant")]},
            "assistant.document.base64: .*; send it in a turn of the user",
        ),
    ],
)
def test_what_the_service_would_refuse_is_refused(fields: dict[str, Any], message: str) -> None:
    """Before anything is sent, with what to do about it."""
    with pytest.raises(ValidationError, match=message):
        RowEncoder(find_provider("anthropic"), "error", Settings()).encode(request(**fields), "t-0")


def test_a_row_of_another_batch_file_goes_out() -> None:
    """A row for OpenAI, tools and all, becomes params with the same meaning."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "system", "content": "be brief"},
            USER,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
    }
    row = {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    read = row_from(row)
    assert isinstance(read, Translated)
    assert wire(read.request)["params"] == {
        "model": "m",
        "max_tokens": 9,
        "system": "be brief",
        "messages": [
            USER,
            said({"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}, role="assistant"),
            said({"type": "tool_result", "tool_use_id": "c1", "content": "rain"}),
        ],
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
    }


# --- answers --------------------------------------------------------------------------------------------------------

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": "42"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {
        "input_tokens": 11,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 300,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "batch",
    },
}


def answer(result: Any, **more: Any) -> bytes:
    return json.dumps({"custom_id": "t-0", "result": result} | more).encode()


def ok(**changes: Any) -> bytes:
    return answer({"type": "succeeded", "message": MESSAGE | changes})


def errored(error: Any, request_id: Any = None) -> bytes:
    return answer({"type": "errored", "error": {"type": "error", "error": error, "request_id": request_id}})


def plain(line: bytes, custom_id: str = "q1") -> Any:
    return json.loads(msgspec.json.encode(codec.decode(line, custom_id)[0]))


def test_an_answer_is_read() -> None:
    """Text, tokens, model and the reason to stop are found; the message is kept whole. All input tokens are counted."""
    assert plain(ok()) == {
        "custom_id": "q1",
        "status": "succeeded",
        "text": "42",
        "tool_calls": [],
        "reasoning": None,
        "thoughts": [],
        "images": [],
        "citations": [],
        "parsed": None,
        "parse_error": None,
        "refusal": None,
        "finish_reason": "stop",
        "finish_reason_raw": "end_turn",
        "usage": {
            "input_tokens": 331,
            "cached_tokens": 300,
            "cache_write_tokens": 20,
            "output_tokens": 7,
            "reasoning_tokens": 5,
        },
        "model": "claude-haiku-4-5-20251001",
        "request_id": None,
        "error": None,
        "response": MESSAGE,
    }


def test_blocks_are_read_by_their_type() -> None:
    """Texts make one text, thoughts the reasoning, calls of ours the tool calls; the rest stays in the response."""
    content = [
        {"type": "thinking", "thinking": "first", "signature": "abc="},
        {"type": "redacted_thinking", "data": "xyz="},
        {"type": "thinking", "thinking": "then", "signature": "def="},
        {"type": "text", "text": "It is ", "citations": None},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "text", "text": "raining."},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
    ]
    result = plain(ok(content=content, stop_reason="tool_use"))
    assert (result["text"], result["reasoning"]) == ("It is raining.", "first\n\nthen")
    assert result["tool_calls"] == [{"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}]
    assert result["finish_reason"] == "tool_calls"
    assert result["response"]["content"] == content


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.REFUSAL),
        ("pause_turn", FinishReason.OTHER),
        ("a_word_of_tomorrow", FinishReason.OTHER),
        (None, None),
    ],
)
def test_the_reason_to_stop_is_translated(raw: str | None, reason: FinishReason | None) -> None:
    """A word that we do not know is `other`, and is kept."""
    result, _ = codec.decode(ok(stop_reason=raw), "q1")
    assert (result.finish_reason, result.finish_reason_raw) == (reason, raw)


def test_a_refusal_is_an_answer() -> None:
    """The model refused, not the service: it succeeded, and says why."""
    details = {"type": "refusal", "category": "bio", "explanation": "I will not"}
    result, _ = codec.decode(ok(content=[], stop_reason="refusal", stop_details=details), "q1")
    assert (result.status, result.text, result.refusal) == (ResultStatus.SUCCEEDED, None, "I will not")
    assert result.finish_reason is FinishReason.REFUSAL


@pytest.mark.parametrize(
    ("word", "kind", "retryable"),
    [
        ("invalid_request_error", ErrorType.INVALID_REQUEST, False),
        ("request_too_large", ErrorType.INVALID_REQUEST, False),
        ("authentication_error", ErrorType.AUTHENTICATION, False),
        ("billing_error", ErrorType.QUOTA, False),
        ("permission_error", ErrorType.PERMISSION, False),
        ("not_found_error", ErrorType.NOT_FOUND, False),
        ("rate_limit_error", ErrorType.RATE_LIMIT, True),
        ("timeout_error", ErrorType.TIMEOUT, True),
        ("api_error", ErrorType.SERVER, True),
        ("overloaded_error", ErrorType.SERVER, True),
        ("error_of_tomorrow", ErrorType.OTHER, False),
    ],
)
def test_a_refused_row_is_an_error(word: str, kind: ErrorType, retryable: bool) -> None:
    """The error is in an error; its words, the id beside it and its details are kept."""
    error = {"type": word, "message": "no", "details": {"error_visibility": "user_facing"}}
    result, _ = codec.decode(errored(error, "req_1"), "q1")
    assert result.error is not None
    assert (result.custom_id, result.status, result.request_id) == ("q1", ResultStatus.ERRORED, "req_1")
    assert (result.error.type, result.error.retryable, result.error.message) == (kind, retryable, "no")
    assert result.error.raw == {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("word", "status", "kind"),
    [
        ("canceled", ResultStatus.CANCELLED, ErrorType.CANCELLED),
        ("expired", ResultStatus.EXPIRED, ErrorType.EXPIRED),
    ],
)
def test_a_row_that_never_ran_says_why(word: str, status: ResultStatus, kind: ErrorType) -> None:
    """It was not charged, and may be sent again."""
    result, _ = codec.decode(answer({"type": word}), "q1")
    assert result.error is not None
    assert (result.status, result.error.type, result.error.retryable) == (status, kind, True)
    assert result.error.raw == {"type": word}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"custom_id": "t-0"}', "neither an answer nor a reason"),
        (answer(None), "neither an answer nor a reason"),
        (answer([]), "neither an answer nor a reason"),
        (answer({"type": "errored"}), "errored"),
        (answer({"type": "errored", "error": "busy"}), "busy"),
        (answer({"type": "errored", "error": {"type": "api_error", "message": "one level"}}), "one level"),
        (errored("busy"), "busy"),
        (errored({"type": "api_error"}), "api_error"),
        (errored(None), "neither an answer nor a reason"),
        (answer({"type": "succeeded", "message": None}), "succeeded"),
        (answer({"type": "of_tomorrow", "more": 1}), "of_tomorrow"),
    ],
)
def test_a_row_of_another_shape_is_an_error(line: bytes, message: str) -> None:
    """Without an answer to be found, the result says what there was."""
    result, _ = codec.decode(line, "q1")
    assert result.error is not None
    assert (result.custom_id, result.status) == ("q1", ResultStatus.ERRORED)
    assert message in result.error.message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"model": 5}, {"model": None, "text": "42"}),
        ({"usage": {"input_tokens": "many"}}, {"usage": None, "text": "42"}),
        ({"usage": None}, {"usage": None, "text": "42"}),
        ({"usage": {}}, {"usage": Usage(), "text": "42"}),
        ({"usage": {"input_tokens": 3}}, {"usage": Usage(input_tokens=3), "text": "42"}),
        ({"content": []}, {"text": None, "finish_reason": FinishReason.STOP}),
        ({"content": None}, {"text": None, "model": MESSAGE["model"]}),
        ({"content": "none"}, {"text": None, "model": MESSAGE["model"]}),
        ({"content": [5, {"type": "text", "text": "42"}, {"type": "text", "text": {}}]}, {"text": "42"}),
        ({"content": [{"type": "text", "text": ""}]}, {"text": ""}),
        ({"stop_reason": {}}, {"text": "42", "finish_reason": None}),
        ({"stop_details": "none"}, {"text": "42", "refusal": None}),
        ({"container": {"new": [1]}}, {"text": "42"}),
    ],
)
def test_an_odd_answer_is_still_one(change: dict[str, Any], expected: dict[str, Any]) -> None:
    """A paid answer is not lost over a field: what can be read is, and the message is kept."""
    result, repaired = codec.decode(ok(**change), "q1")
    assert result.status is ResultStatus.SUCCEEDED
    assert {name: getattr(result, name) for name in expected} == expected
    assert plain(ok(**change))["response"] == MESSAGE | change
    assert not repaired


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (rb'"a\ud800b"', "a\ufffd\ufffd\ufffdb"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"ab", "score": NaN', "ab"),
        (b'"ab", "score": "\xff"', "ab"),
    ],
)
def test_an_answer_with_a_bad_character_is_repaired(sent: bytes, text: str) -> None:
    """What strict JSON refuses is replaced, the rest is kept, and the repair is known."""
    line = ok().replace(b'"42"', sent)
    result, repaired = codec.decode(line, "q1")
    assert (result.status, result.text, repaired) == (ResultStatus.SUCCEEDED, text, True)
    assert codec.read_row_id(line) == "t-0"
    assert msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult).text == text


@pytest.mark.parametrize("line", [b"", b"<html>", ok()[:-1], ok()[: len(ok()) // 2], b'{"a": ' + b"[" * 10**5])
def test_a_torn_answer_is_a_value_error(line: bytes) -> None:
    """What is not JSON is an error that the road expects, and no other."""
    with pytest.raises(ValueError, match=r"."):
        codec.decode(line, "q1")


@pytest.mark.parametrize(
    ("line", "row_id"),
    [
        (b'{"custom_id":"t-0","result":', "t-0"),  # torn, but it says whose it is
        (b'{"custom_id": "t-0", "result": null}', "t-0"),
        (b'{"result": {"custom_id": "inner"}, "custom_id": "t-0"}', "t-0"),
        (b'{"custom_id": "t\\u002d0"}', "t-0"),
        (b'{"result": NaN, "custom_id": "t-0"}', "t-0"),
        (b'{"custom_id": 5}', None),
        (b'["custom_id"]', None),
        (b"", None),
        (b"<html>", None),
        (b'{"result": {"custom_id": "inner"}}', None),
        (b"[" * 100_000, None),
    ],
)
def test_the_row_id_is_found(line: bytes, row_id: str | None) -> None:
    """The row id is found wherever it stands in the row; a row that cannot be read has none."""
    assert codec.read_row_id(line) == row_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "message", "error"]), inner),
    max_leaves=4,
)
BLOCK = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use"]) | JSON},
    optional={"text": JSON, "thinking": JSON, "id": JSON, "name": JSON, "input": JSON},
)
BODY = st.fixed_dictionaries(
    {}, optional={"model": JSON, "content": st.lists(BLOCK) | JSON, "usage": JSON, "stop_reason": JSON}
)
RESULT = st.fixed_dictionaries(
    {"type": st.sampled_from(["succeeded", "errored", "canceled", "expired"]) | JSON},
    optional={"message": BODY | JSON, "error": JSON},
)
ROW = st.fixed_dictionaries({}, optional={"custom_id": st.just("t-0") | JSON, "result": RESULT | JSON})


@given(ROW | JSON)
def test_every_answer_makes_a_result(row: Any) -> None:
    """Whatever JSON the service sends, there is a result, and it can be written and read back as one."""
    result, _ = codec.decode(json.dumps(row).encode(), "q1")
    again = msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult)
    assert (again.status, again.text, again.error is None) == (result.status, result.text, result.error is None)


# --- rows recorded from the service ---------------------------------------------------------------------------------


@pytest.fixture
def recorded(shared: Path) -> Path:
    folder = shared / "golden" / "anthropic"
    if not folder.is_dir():
        pytest.skip("no recorded rows are here")
    return folder


def rows(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().split(b"\n") if line]


def leaves(value: Any) -> Iterator[Any]:
    """All values that hold no other value."""
    if isinstance(value, dict | list) and value:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


def test_recorded_lines_lose_nothing(recorded: Path) -> None:
    """Every single value of each recorded line is found in its result, as it was."""
    lines = rows(recorded)
    assert len(lines) == 24
    for line in lines:
        kept = [json.dumps(value) for value in leaves(plain(line, str(codec.read_row_id(line))))]
        lost = [value for value in leaves(json.loads(line)) if json.dumps(value) not in kept]
        assert lost == []


def test_recorded_answers_are_read(recorded: Path) -> None:
    """Text, tokens and model of each recorded message are in its result, and the message as it was."""
    answered = [line for line in rows(recorded) if b'"succeeded"' in line]
    assert len(answered) == 23
    for line in answered:
        row = json.loads(line)
        message = row["result"]["message"]
        result = msgspec.json.decode(msgspec.json.encode(codec.decode(line, "q1")[0]), type=UnifiedResult)
        assert codec.read_row_id(line) == row["custom_id"]
        assert (result.status, result.text) == ("succeeded", message["content"][0]["text"])
        assert (result.model, result.response, result.error) == (message["model"], message, None)
        assert (result.finish_reason, result.finish_reason_raw) == ("stop", "end_turn")
        assert result.usage is not None
        assert result.usage.input_tokens == message["usage"]["input_tokens"] > 0
        assert result.usage.output_tokens == message["usage"]["output_tokens"] > 0


def test_recorded_refusals_are_read(recorded: Path) -> None:
    """The words of the recorded error are in its result, of the kind that it was."""
    (line,) = [line for line in rows(recorded) if b'"errored"' in line]
    result, _ = codec.decode(line, "q1")
    assert result.error is not None
    assert (result.status, result.error.type, result.error.retryable) == ("errored", ErrorType.INVALID_REQUEST, False)
    assert result.error.message.startswith("max_tokens: 100000 > 64000")
    assert result.error.raw["error"]["details"] == {"error_visibility": "user_facing"}
