"""Google's rows: what goes out, byte for byte in meaning, and what comes back, however odd."""

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
    Endpoint,
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
from batch_router.providers import find_provider
from batch_router.providers.google import codec
from batch_router.settings import Settings

USER = {"role": "user", "parts": [{"text": "hi"}]}
HI = UnifiedMessage(role="user", content="hi")
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ADD = Tool(name="add", description="adds", parameters=SCHEMA)
OPENAPI = {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}
DECLARED = {"name": "add", "description": "adds", "parameters": OPENAPI}


def request(**fields: Any) -> UnifiedRequest:
    return UnifiedRequest(**({"custom_id": "q1", "model": "gemini-2.5-flash", "messages": [HI]} | fields))


def wire(row: UnifiedRequest) -> Any:
    return json.loads(msgspec.json.encode(codec.encode(row, "t-0")))


def parts(*content: Content, role: Any = "user", **more: Any) -> UnifiedMessage:
    return UnifiedMessage(role=role, content=list(content), provider_kwargs=more)


def config(**fields: Any) -> dict[str, Any]:
    return {"generation_config": GenerationConfig(**fields)}


def generation(**fields: Any) -> dict[str, Any]:
    return {"contents": [USER], "generationConfig": fields}


# --- requests -------------------------------------------------------------------------------------------------------

#: what a request says -> what the row's request says
REQUESTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"contents": [USER]}),
    (
        {"messages": [HI, UnifiedMessage(role="assistant", content="hello"), UnifiedMessage.from_text("user", "bye")]},
        {
            "contents": [
                USER,
                {"role": "model", "parts": [{"text": "hello"}]},
                {"role": "user", "parts": [{"text": "bye"}]},
            ]
        },
    ),
    ({"system_prompt": "be brief"}, {"contents": [USER], "systemInstruction": {"parts": [{"text": "be brief"}]}}),
    ({"system_prompt": ["a", "b"]}, {"contents": [USER], "systemInstruction": {"parts": [{"text": "a\n\nb"}]}}),
    (config(), {"contents": [USER]}),
    (config(temperature=0), generation(temperature=0)),
    (config(max_tokens=5), generation(maxOutputTokens=5)),
    (config(top_p=0.5, top_k=3), generation(topP=0.5, topK=3)),
    (config(stop_sequences=["a"]), generation(stopSequences=["a"])),
    (config(presence_penalty=-2, frequency_penalty=2), generation(presencePenalty=-2, frequencyPenalty=2)),
    (config(seed=7), generation(seed=7)),
    (
        config(output_schema=OutputSchema(schema=SCHEMA)),
        generation(responseMimeType="application/json", responseSchema=OPENAPI),
    ),
    (config(reasoning_effort="none"), generation(thinkingConfig={"thinkingBudget": 0})),
    (config(reasoning_effort="high"), generation(thinkingConfig={"thinkingBudget": 24576})),
    (
        config(reasoning_effort="low") | {"model": "models/gemini-2.0-flash"},
        generation(thinkingConfig={"thinkingBudget": 1024}),
    ),
    (
        config(reasoning_effort="minimal") | {"model": "gemini-3.5-flash"},
        generation(thinkingConfig={"thinkingLevel": "MINIMAL"}),
    ),
    (
        config(reasoning_effort="high") | {"model": "gemini-flash-latest"},
        generation(thinkingConfig={"thinkingLevel": "HIGH"}),
    ),
    (config(tools=[ADD]), {"contents": [USER], "tools": [{"functionDeclarations": [DECLARED]}]}),
    (
        config(tools=[Tool(name="now")]),
        {
            "contents": [USER],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "now", "parametersJsonSchema": {"type": "object", "properties": {}}}
                    ]
                }
            ],
        },
    ),
    ({"provider_kwargs": {"safetySettings": []}}, {"contents": [USER], "safetySettings": []}),
    (
        {"messages": [UnifiedMessage(role="user", content="hi", provider_kwargs={"role": "function"})]},
        {"contents": [USER | {"role": "function"}]},
    ),
]


@pytest.mark.parametrize(("fields", "sent"), REQUESTS)
def test_requests_become_rows(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    """A row is what the service takes: our row id as its key, and no key in the request that was not asked for."""
    assert wire(request(**fields)) == {"key": "t-0", "request": sent}


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (NamedTool(name="add"), {"mode": "ANY", "allowedFunctionNames": ["add"]}),
    ],
)
def test_the_choice_of_tools_is_translated(choice: Any, calling: dict[str, Any]) -> None:
    """Whether the model may, must not, must call a tool, or must call this one."""
    sent = wire(request(**config(tools=[ADD], tool_choice=choice)))["request"]
    assert sent["toolConfig"] == {"functionCallingConfig": calling}


@pytest.mark.parametrize("choice", [None, "auto"])
def test_strict_tools_are_validated(choice: Any) -> None:
    """The service has a mode in which arguments must fit; it is used where a tool asks for that."""
    strict = Tool(name="add", parameters=SCHEMA, strict=True)
    sent = wire(request(**config(tools=[strict], tool_choice=choice)))["request"]
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (TextContent(text="a\u2028b"), {"text": "a\u2028b"}),
        (
            ImageContent(source_type="base64", media_type="image/png", data="iVBO"),
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        ),
        (
            ImageContent(source_type="url", media_type="image/png", data="https://a/b.png"),
            {"fileData": {"fileUri": "https://a/b.png", "mimeType": "image/png"}},
        ),
        (
            ImageContent(source_type="url", media_type="image/*", data="https://a/b.png"),
            {"fileData": {"fileUri": "https://a/b.png"}},
        ),
        (
            DocumentContent(source_type="base64", media_type="application/pdf", data="JVBE"),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        ),
        (
            DocumentContent(source_type="url", media_type="application/pdf", data="https://a/b.pdf"),
            {"fileData": {"fileUri": "https://a/b.pdf", "mimeType": "application/pdf"}},
        ),
        (
            ToolResultContent(tool_call_id="c", name="add", content='{"sum": 3}'),
            {"functionResponse": {"id": "c", "name": "add", "response": {"sum": 3}}},
        ),
        (
            ToolResultContent(tool_call_id="c", name="add", content="3"),
            {"functionResponse": {"id": "c", "name": "add", "response": {"result": 3}}},
        ),
        (
            ToolResultContent(tool_call_id="c", name="add", content="three"),
            {"functionResponse": {"id": "c", "name": "add", "response": {"result": "three"}}},
        ),
        (
            ToolResultContent(tool_call_id="c", name="add", content="overflow", is_error=True),
            {"functionResponse": {"id": "c", "name": "add", "response": {"error": "overflow"}}},
        ),
    ],
)
def test_parts_become_parts(part: Content, sent: dict[str, Any]) -> None:
    """One for one, in their order."""
    assert wire(request(messages=[parts(part, TextContent(text="?"))]))["request"]["contents"] == [
        {"role": "user", "parts": [sent, {"text": "?"}]}
    ]


CALL = ToolCallContent(id="c", name="add", arguments={"a": 1})
SENT = {"functionCall": {"id": "c", "name": "add", "args": {"a": 1}}}


def test_a_tools_result_has_the_name_of_its_call() -> None:
    """The service wants the name, which most users give only with the call."""
    messages = [HI, parts(CALL, role="assistant"), parts(ToolResultContent(tool_call_id="c", content="3"))]
    contents = wire(request(messages=messages))["request"]["contents"]
    assert contents[1:] == [
        {"role": "model", "parts": [SENT]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "add", "response": {"result": 3}}}]},
    ]


def test_calls_are_signed_where_they_must_be() -> None:
    """Models since Gemini 3 refuse calls without a signature: the first of a turn has the word that stands for one."""
    messages = [HI, parts(TextContent(text="well"), CALL, CALL, role="assistant")]
    sent = wire(request(messages=messages, model="gemini-3.5-flash"))["request"]["contents"][1]["parts"]
    assert sent == [{"text": "well"}, SENT | {"thoughtSignature": "skip_thought_signature_validator"}, SENT]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (
            {"messages": [parts(ToolResultContent(tool_call_id="c", content="3")), parts(CALL, role="assistant")]},
            "tool call 'c' needs the tool's name; give its `name`",
        ),
        (config(reasoning_effort="none") | {"model": "gemini-3.5-flash"}, "reasoning_effort: .*ask for 'minimal'"),
        ({"endpoint": "embeddings", "system_prompt": "be brief"}, "system_prompt: .*put it in front"),
        ({"endpoint": "embeddings", "messages": [HI, HI]}, "messages: .*make a request of each"),
    ],
)
def test_what_google_does_not_take_is_refused(fields: dict[str, Any], complaint: str) -> None:
    """The refusal says what, and what to do."""
    with pytest.raises(ValidationError, match=complaint):
        RowEncoder(find_provider("google"), "error", Settings()).encode(request(**fields), "t-0")


def test_the_users_own_keys_come_last() -> None:
    """`provider_kwargs` win; of the generation's parameters only those that they name."""
    own = {"contents": [], "generationConfig": {"temperature": 1, "candidateCount": 2}}
    sent = wire(request(**config(temperature=0, max_tokens=5), provider_kwargs=own))["request"]
    assert sent == {"contents": [], "generationConfig": {"temperature": 1, "candidateCount": 2, "maxOutputTokens": 5}}
    assert wire(request(provider_kwargs=own))["request"] == own
    assert wire(request(provider_kwargs={"generationConfig": None}))["request"]["generationConfig"] is None


def test_encoding_changes_nothing() -> None:
    """The same request can be encoded again under another row id."""
    own = {"generationConfig": {"candidateCount": 2}}
    row = request(provider_kwargs=own, **config(max_tokens=5, tools=[ADD]))
    before = row.to_dict()
    assert wire(row) == wire(row)
    assert row.to_dict() == before


def test_an_embedding_is_of_a_text() -> None:
    """The content, and what else the user says; no parameters of generation."""
    row = request(endpoint=Endpoint.EMBEDDINGS, provider_kwargs={"outputDimensionality": 64})
    assert wire(row) == {"key": "t-0", "request": {"content": {"parts": [{"text": "hi"}]}, "outputDimensionality": 64}}
    encoder = RowEncoder(find_provider("google"), "error", Settings())
    for refused in (config(temperature=1), {"messages": [parts(CALL)]}):
        with pytest.raises(ValidationError, match="google does not take it"):
            encoder.encode(request(endpoint=Endpoint.EMBEDDINGS, **refused), "t-0")


# --- answers --------------------------------------------------------------------------------------------------------

RESPONSE: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "42"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {
        "promptTokenCount": 15,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 62,
        "cachedContentTokenCount": 4,
        "totalTokenCount": 79,
    },
    "modelVersion": "gemini-3.5-flash",
    "responseId": "r-1",
}


def ok(response: Any, **more: Any) -> bytes:
    return json.dumps({"response": response, "key": "t-0"} | more).encode()


def failed(error: Any, field: str = "error") -> bytes:
    return json.dumps({"key": "t-0", field: error}).encode()


def with_candidate(*parts: Any, **candidate: Any) -> bytes:
    return ok(RESPONSE | {"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"} | candidate]})


def plain(line: bytes, custom_id: str = "q1") -> Any:
    return json.loads(msgspec.json.encode(codec.decode(line, custom_id)[0]))


def test_an_answer_is_read() -> None:
    """Text, tokens, model, ids and the reason to stop are found; thoughts are output; the response is kept whole."""
    assert plain(ok(RESPONSE)) == {
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
        "finish_reason_raw": "STOP",
        "usage": {
            "input_tokens": 15,
            "cached_tokens": 4,
            "cache_write_tokens": None,
            "output_tokens": 64,
            "reasoning_tokens": 62,
        },
        "model": "gemini-3.5-flash",
        "request_id": "r-1",
        "error": None,
        "response": RESPONSE,
    }


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.OTHER),
        ("A_WORD_OF_TOMORROW", FinishReason.OTHER),
        (None, None),
    ],
)
def test_the_reason_to_stop_is_translated(raw: str | None, reason: FinishReason | None) -> None:
    """A word that we do not know is `other`, and is kept; an answer may have no text."""
    result, _ = codec.decode(ok(RESPONSE | {"candidates": [{"finishReason": raw}]}), "q1")
    assert (result.finish_reason, result.finish_reason_raw, result.text) == (reason, raw, None)


def test_thoughts_are_not_the_text() -> None:
    """They are the reasoning; several parts of a kind are one text."""
    result, _ = codec.decode(
        with_candidate({"text": "hm", "thought": True}, {"text": "4", "thoughtSignature": "x"}, {"text": "2"}), "q1"
    )
    assert (result.reasoning, result.text) == ("hm", "42")


def test_the_first_candidate_is_the_text() -> None:
    """The others are in the response."""
    two = [{"content": {"parts": [{"text": text}]}} for text in ("first", "second")]
    result = plain(ok(RESPONSE | {"candidates": two}))
    assert (result["text"], result["response"]["candidates"]) == ("first", two)


def test_tool_calls_are_read() -> None:
    """Each has an id, made up where there is none, so that its result can name it; the reason to stop is the call."""
    calls = [{"functionCall": {"name": "add", "args": {"a": 1}, "id": "c"}}, {"functionCall": {"name": "now"}}]
    result, _ = codec.decode(with_candidate(*calls), "q1")
    assert result.tool_calls == [
        {"id": "c", "name": "add", "arguments": {"a": 1}},
        {"id": "call_1", "name": "now", "arguments": {}},
    ]
    assert (result.finish_reason, result.finish_reason_raw) == (FinishReason.TOOL_CALLS, "STOP")
    assert [ToolCallContent(**call).name for call in result.tool_calls] == ["add", "now"]


def test_a_blocked_prompt_is_an_answer_that_says_so() -> None:
    """As an answer that is blocked half-way: `content_filter`, with the reason as the refusal, and no text."""
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
    result, _ = codec.decode(ok(blocked), "q1")
    assert (result.status, result.text, result.finish_reason) == ("succeeded", None, FinishReason.CONTENT_FILTER)
    assert (result.refusal, result.finish_reason_raw) == ("the prompt was blocked: SAFETY", "SAFETY")
    assert result.usage == Usage(input_tokens=9)


def test_an_embedding_is_read() -> None:
    """Its numbers are in a field of their own."""
    result = plain(ok({"embedding": {"values": [0.5, -1]}, "usageMetadata": {"promptTokenCount": 2}}))
    assert (result["status"], result["embedding"], result["text"]) == ("succeeded", [0.5, -1], None)


@pytest.mark.parametrize("field", ["error", "status"])
@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (2, ErrorType.SERVER, True),
        (3, ErrorType.INVALID_REQUEST, False),
        (4, ErrorType.TIMEOUT, True),
        (5, ErrorType.NOT_FOUND, False),
        (7, ErrorType.PERMISSION, False),
        (8, ErrorType.RATE_LIMIT, True),
        (13, ErrorType.SERVER, True),
        (14, ErrorType.SERVER, True),
        (16, ErrorType.AUTHENTICATION, False),
        (99, ErrorType.OTHER, False),
        ("3", ErrorType.INVALID_REQUEST, False),
        (429, ErrorType.RATE_LIMIT, True),
        (503, ErrorType.SERVER, True),
        (502, ErrorType.SERVER, True),
        (504, ErrorType.TIMEOUT, True),
        (403, ErrorType.PERMISSION, False),
        ([3], ErrorType.OTHER, False),
    ],
)
def test_a_failed_row_is_an_error(field: str, code: Any, kind: ErrorType, retryable: bool) -> None:
    """Under either name; its number says what it means, and whether another try may help."""
    error = {"code": code, "message": "no"}
    result, _ = codec.decode(failed(error, field), "q1")
    assert result.error is not None
    assert (result.custom_id, result.status) == ("q1", ResultStatus.ERRORED)
    assert (result.error.type, result.error.retryable) == (kind, retryable)
    assert (result.error.message, result.error.raw) == ("no", error)


def test_a_row_that_was_cancelled_says_so() -> None:
    """In a job that says that it succeeded."""
    result, _ = codec.decode(failed({"code": 1, "message": "cancelled"}), "q1")
    assert result.status is ResultStatus.CANCELLED
    assert result.error is not None
    assert (result.error.type, result.error.retryable) == (ErrorType.CANCELLED, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (failed({"code": 3}), "google.rpc code 3"),
        (failed("lost"), "lost"),
        (failed(None), "neither an answer nor a reason"),
        (b'{"key": "t-0"}', "neither an answer nor a reason"),
        (b'{"key": "t-0", "response": []}', "neither an answer nor a reason"),
        (ok(RESPONSE, error={"code": 13, "message": "half done"}), "half done"),
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
        ({"modelVersion": 5}, {"model": None, "text": "42"}),
        ({"usageMetadata": {"promptTokenCount": "many"}}, {"usage": None, "text": "42"}),
        ({"usageMetadata": {}}, {"usage": Usage(), "text": "42"}),
        ({"candidates": []}, {"text": None, "finish_reason": None}),
        ({"candidates": None}, {"text": None, "model": "gemini-3.5-flash"}),
        ({"candidates": "none"}, {"text": None, "model": "gemini-3.5-flash"}),
        ({"candidates": [{}]}, {"text": None}),
        ({"candidates": [{"content": {}}]}, {"text": None}),
        ({"candidates": [{"content": {"parts": [{"inlineData": {"data": "iVBO"}}]}}]}, {"text": None}),
        ({"promptFeedback": {"safetyRatings": []}}, {"text": "42", "refusal": None}),
        ({"new": {"new": [1]}}, {"text": "42"}),
    ],
)
def test_an_odd_answer_is_still_one(change: dict[str, Any], expected: dict[str, Any]) -> None:
    """A paid answer is not lost over a field: what can be read is, and the response is kept."""
    result, repaired = codec.decode(ok(RESPONSE | change), "q1")
    assert result.status is ResultStatus.SUCCEEDED
    assert {name: getattr(result, name) for name in expected} == expected
    assert plain(ok(RESPONSE | change))["response"] == RESPONSE | change
    assert not repaired


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (rb'"a\ud800b"', "a\ufffd\ufffd\ufffdb"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"ab", "avgLogprobs": NaN', "ab"),
    ],
)
def test_an_answer_with_a_bad_character_is_repaired(sent: bytes, text: str) -> None:
    """What strict JSON refuses is replaced, the rest is kept, and the repair is known."""
    line = ok(RESPONSE).replace(b'"42"', sent)
    result, repaired = codec.decode(line, "q1")
    assert (result.status, result.text, repaired) == (ResultStatus.SUCCEEDED, text, True)
    assert codec.read_row_id(line) == "t-0"


@pytest.mark.parametrize("line", [b"", b"<html>", ok(RESPONSE)[:-1], ok("@").replace(b'"@"', b"[" * 10**5)])
def test_a_torn_answer_is_a_value_error(line: bytes) -> None:
    """What is not JSON is an error that the road expects, and no other."""
    with pytest.raises(ValueError, match=r"."):
        codec.decode(line, "q1")


# --- row ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "row_id"),
    [
        (b'{"key": "t-0", "response"', "t-0"),  # torn, but it says whose it is
        (b'{"key":"t-0","response":{"key":"inner"}}', "t-0"),
        (b'{"response":{"key":"inner"},"key":"t-0"}', "t-0"),
        (b'{"response": {}, "key": "t-0"}\n', "t-0"),
        (b'{"response": {}, "key": "t-0"} \r\n', "t-0"),
        (b'{"response": {"text": "\\"key\\":\\"inner\\"}"}, "key": "t-0", "more": 1}', "t-0"),
        (b'{"key": "t\\u002d0"}', "t-0"),
        (b'{"response": {}, "key": "t\\u002d0"}', "t-0"),
        (b'{"response": {"a": NaN}, "key": "t-0", "more": 1}', "t-0"),
        (b'{"response": {"a": "\xff"}, "key": "t-0", "more": 1}', "t-0"),
        (b'{"response": {"text": "a", "key": "inner"}}', None),
        (b'{"response": {"key": "inner"}, "error": "\\"key\\":\\"x\\"}"}', None),
        (b'{"error": {}, "key": 5}', None),
        (b'["key"]', None),
        (b"", None),
        (b"<html>", None),
        (b"[" * 100_000, None),
    ],
)
def test_the_row_id_is_found(line: bytes, row_id: str | None) -> None:
    """The row id is found wherever it stands in the row; a row that cannot be read has none."""
    assert codec.read_row_id(line) == row_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["code", "message", "name"]), inner),
    max_leaves=4,
)
CALLED = st.fixed_dictionaries({}, optional={"name": JSON, "id": JSON, "args": JSON})
PART = st.fixed_dictionaries({}, optional={"text": JSON, "thought": JSON, "functionCall": CALLED | JSON})
CONTENT = st.fixed_dictionaries({}, optional={"parts": st.lists(PART | JSON, max_size=3) | JSON})
CANDIDATE = st.fixed_dictionaries({}, optional={"content": CONTENT | JSON, "finishReason": JSON})
BODY = st.fixed_dictionaries(
    {},
    optional={
        "candidates": st.lists(CANDIDATE, max_size=2) | JSON,
        "promptFeedback": st.fixed_dictionaries({}, optional={"blockReason": JSON}) | JSON,
        "usageMetadata": JSON,
        "modelVersion": JSON,
    },
)
KEY = st.just("t-0") | JSON
ROW = st.fixed_dictionaries({}, optional={"key": KEY, "response": BODY | JSON, "error": JSON, "status": JSON})


@given(ROW | JSON)
def test_every_answer_makes_a_result(row: Any) -> None:
    """Whatever JSON the service sends, there is a result, and it can be written and read back as one."""
    result, _ = codec.decode(json.dumps(row).encode(), "q1")
    again = msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult)
    assert (again.status, again.text, again.error is None) == (result.status, result.text, result.error is None)


@given(st.permutations(["key", "response", "more"]), st.text(), st.dictionaries(st.just("key"), st.text()))
def test_the_row_id_does_not_depend_on_the_order(order: list[str], text: str, inner: dict[str, str]) -> None:
    """Nor on what else the row says."""
    row = {"key": "t-7", "response": {"text": text} | inner, "more": {"error": inner}}
    for separators in ((",", ":"), (", ", ": ")):
        line = json.dumps({name: row[name] for name in order}, separators=separators, ensure_ascii=False)
        assert codec.read_row_id(line.encode()) == "t-7"


# --- rows recorded from the service ---------------------------------------------------------------------------------


@pytest.fixture
def recorded(shared: Path) -> Path:
    folder = shared / "golden" / "gemini"
    if not folder.is_dir():
        pytest.skip("no recorded rows are here")
    return folder


def recorded_rows(folder: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The rows of files of responses, and responses that were recorded in another file, as such rows."""
    for path in sorted(folder.glob("*results*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            if line:
                yield line, json.loads(line)
    for path in sorted(folder.glob("*.json")):
        for number, kept in enumerate(json.loads(path.read_text())["results"]):
            row = {"response": kept["body"], "key": f"t-{number}"}
            yield json.dumps(row).encode(), row


def leaves(value: Any) -> Iterator[Any]:
    """All values that hold no others."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from leaves(each)
    else:
        yield value


def test_recorded_answers_lose_nothing(recorded: Path) -> None:
    """Each value of each recorded row is in its result: in a field, in the response, or in the error."""
    rows = list(recorded_rows(recorded))
    assert len(rows) == 9
    for line, row in rows:
        result = plain(line, row["key"])
        found = list(leaves(result))
        assert [leaf for leaf in leaves(row) if leaf not in found] == []
        assert result["response"] == row["response"]


def test_recorded_answers_are_read(recorded: Path) -> None:
    """Text, tokens and model of each recorded response are in its result; the tokens add up to the recorded total."""
    for line, row in recorded_rows(recorded):
        response = row["response"]
        result = msgspec.json.decode(msgspec.json.encode(codec.decode(line, "q1")[0]), type=UnifiedResult)
        texts = [part["text"] for part in response["candidates"][0]["content"]["parts"]]
        assert codec.read_row_id(line) == row["key"]
        assert (result.status, result.text, result.error) == ("succeeded", "".join(texts), None)
        assert (result.model, result.request_id) == (response["modelVersion"], response["responseId"])
        assert (result.finish_reason, result.finish_reason_raw) == ("stop", "STOP")
        assert result.usage is not None
        assert result.usage.input_tokens is not None
        assert result.usage.output_tokens is not None
        total = result.usage.input_tokens + result.usage.output_tokens
        assert total == response["usageMetadata"]["totalTokenCount"]


def test_our_rows_look_like_recorded_ones(recorded: Path) -> None:
    """A recorded request, made again as a unified one, differs in the role alone, which is the default there."""
    for line in (recorded / "7shi__input_basic.jsonl").read_bytes().split(b"\n"):
        if line:
            row = json.loads(line)
            text = row["request"]["contents"][0]["parts"][0]["text"]
            sent = wire(request(messages=[UnifiedMessage(role="user", content=text)]))["request"]
            assert sent == {"contents": [row["request"]["contents"][0] | {"role": "user"}]}
