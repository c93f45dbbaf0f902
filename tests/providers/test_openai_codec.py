"""OpenAI's rows: what goes out, byte for byte in meaning, and what comes back, however odd."""

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
    ResultStatus,
    TextContent,
    UnifiedMessage,
    UnifiedRequest,
    UnifiedResult,
    Usage,
)
from batch_router.intake.encode import RowEncoder
from batch_router.intake.losses import Translated
from batch_router.intake.rows import row_from
from batch_router.providers.openai import OpenAIProvider, codec
from batch_router.settings import Settings

USER = {"role": "user", "content": "hi"}
HI = UnifiedMessage(role="user", content="hi")


def request(**fields: Any) -> UnifiedRequest:
    return UnifiedRequest(**({"custom_id": "q1", "model": "m", "messages": [HI]} | fields))


def wire(row: UnifiedRequest | Translated) -> Any:
    return json.loads(msgspec.json.encode(RowEncoder(OpenAIProvider, "error", Settings()).encode(row, "t-0")))


def parts(*content: Content, **more: Any) -> UnifiedMessage:
    return UnifiedMessage(role="user", content=list(content), provider_kwargs=more)


# --- requests -------------------------------------------------------------------------------------------------------

#: what a request says -> what its body says besides the model
BODIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"messages": [USER]}),
    (
        {
            "messages": [
                HI,
                UnifiedMessage(role="assistant", content="hello"),
                UnifiedMessage.from_text("user", "bye \u2028"),
            ]
        },
        {"messages": [USER, {"role": "assistant", "content": "hello"}, {"role": "user", "content": "bye \u2028"}]},
    ),
    ({"system_prompt": "be brief"}, {"messages": [{"role": "system", "content": "be brief"}, USER]}),
    ({"system_prompt": ["one", "two"]}, {"messages": [{"role": "system", "content": "one\n\ntwo"}, USER]}),
    ({"generation_config": GenerationConfig()}, {"messages": [USER]}),
    ({"generation_config": GenerationConfig(temperature=0)}, {"messages": [USER], "temperature": 0}),
    ({"generation_config": GenerationConfig(max_tokens=5)}, {"messages": [USER], "max_completion_tokens": 5}),
    ({"generation_config": GenerationConfig(top_p=0.5)}, {"messages": [USER], "top_p": 0.5}),
    ({"generation_config": GenerationConfig(stop_sequences=["a", "b"])}, {"messages": [USER], "stop": ["a", "b"]}),
    ({"generation_config": GenerationConfig(presence_penalty=-2)}, {"messages": [USER], "presence_penalty": -2}),
    ({"generation_config": GenerationConfig(frequency_penalty=2)}, {"messages": [USER], "frequency_penalty": 2}),
    ({"provider_kwargs": {"seed": 7, "user": "ada"}}, {"messages": [USER], "seed": 7, "user": "ada"}),
    (
        {"messages": [UnifiedMessage(role="user", content="hi", provider_kwargs={"name": "ada"})]},
        {"messages": [USER | {"name": "ada"}]},
    ),
    (
        {
            "messages": [
                parts(
                    TextContent(text="what is this?"),
                    ImageContent(source_type="base64", media_type="image/png", data="iVBO"),
                    DocumentContent(source_type="base64", media_type="application/pdf", data="JVBE"),
                )
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is this?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                        {
                            "type": "file",
                            "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                        },
                    ],
                }
            ]
        },
    ),
    (
        {"messages": [parts(ImageContent(source_type="url", media_type="image/*", data="https://a/b.png"), name="a")]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://a/b.png"}}],
                    "name": "a",
                }
            ]
        },
    ),
]


@pytest.mark.parametrize(("fields", "body"), BODIES)
def test_requests_become_rows(fields: dict[str, Any], body: dict[str, Any]) -> None:
    """A row is what the service takes: our row id, the endpoint, and no key that was not asked for."""
    assert wire(request(**fields)) == {
        "custom_id": "t-0",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", **body},
    }


@pytest.mark.parametrize(("fields", "body"), BODIES)
def test_rows_become_requests(fields: dict[str, Any], body: dict[str, Any]) -> None:
    """A row of a batch file is read as the request that would make it: out again, it is the same, or tells what not."""
    row = {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", **body}}
    read = row_from(row)
    assert isinstance(read, Translated)
    if read.losses:
        assert {loss.name for loss in read.losses} <= {"name", "user"}
    else:
        assert wire(read) == row | {"custom_id": "t-0"}


def test_the_users_own_keys_come_last() -> None:
    """`provider_kwargs` win over what we would send, in the body and in a message."""
    message = UnifiedMessage(role="user", content="hi", provider_kwargs={"content": "ho"})
    own = {"store": True, "max_completion_tokens": 9}
    row = request(messages=[message], provider_kwargs=own, generation_config=GenerationConfig(max_tokens=5))
    assert wire(row)["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "ho"}],
        "max_completion_tokens": 9,
        "store": True,
    }


def test_encoding_changes_nothing() -> None:
    """The same request can be encoded again under another row id."""
    row = request(provider_kwargs={"seed": 7}, generation_config=GenerationConfig(max_tokens=5))
    before = row.to_dict()
    assert wire(row) == wire(row)
    assert row.to_dict() == before


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "bill.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ],
)
def test_parts_keep_what_they_say(part: dict[str, Any]) -> None:
    """The detail of an image and the name of a file change price and answer: they are not lost on the way."""
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]}
    row = {"custom_id": "q1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    assert wire(row_from(row))["body"] == body


# --- answers --------------------------------------------------------------------------------------------------------

COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "gpt-5-mini-2025-08-07",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
}


def answer(response: Any, error: Any = None, **more: Any) -> bytes:
    return json.dumps({"id": "batch_req_1", "custom_id": "t-0", "response": response, "error": error} | more).encode()


def ok(body: Any, **more: Any) -> bytes:
    return answer({"status_code": 200, "request_id": "req_1", "body": body}, **more)


def with_message(**message: Any) -> bytes:
    return ok(COMPLETION | {"choices": [{"message": message, "finish_reason": "stop"}]})


def plain(line: bytes) -> Any:
    return json.loads(msgspec.json.encode(codec.decode(line, "q1")[0]))


def test_an_answer_is_read() -> None:
    """Text, tokens, model, ids and the reason to stop are found; the body is kept whole."""
    assert plain(ok(COMPLETION)) == {
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
        "finish_reason_raw": "stop",
        "usage": {
            "input_tokens": 11,
            "cached_tokens": 3,
            "cache_write_tokens": None,
            "output_tokens": 7,
            "reasoning_tokens": 5,
        },
        "model": "gpt-5-mini-2025-08-07",
        "request_id": "req_1",
        "error": None,
        "response": COMPLETION,
    }


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("a_word_of_tomorrow", FinishReason.OTHER),
        (None, None),
    ],
)
def test_the_reason_to_stop_is_translated(raw: str | None, reason: FinishReason | None) -> None:
    """A word that we do not know is `other`, and is kept."""
    result, _ = codec.decode(ok(COMPLETION | {"choices": [{"message": {"content": "4"}, "finish_reason": raw}]}), "q1")
    assert (result.finish_reason, result.finish_reason_raw) == (reason, raw)


def test_a_refusal_is_an_answer() -> None:
    """The model refused, not the service: it succeeded, and says so."""
    result, _ = codec.decode(with_message(content=None, refusal="I will not"), "q1")
    assert (result.status, result.text, result.refusal) == (ResultStatus.SUCCEEDED, None, "I will not")
    assert (result.finish_reason, result.finish_reason_raw) == (FinishReason.REFUSAL, "stop")


def test_tool_calls_are_read() -> None:
    """Each call has an id, a name and its arguments as they were sent."""
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    result, _ = codec.decode(with_message(content=None, tool_calls=[call]), "q1")
    assert result.tool_calls == [{"id": "call_1", "name": "add", "arguments": {"a": 1}}]


REFUSED: list[tuple[int, Any, ErrorType, bool]] = [
    (400, {"message": "no", "code": "unsupported_parameter"}, ErrorType.INVALID_REQUEST, False),
    (400, {"message": "no", "code": None}, ErrorType.INVALID_REQUEST, False),
    (401, {"message": "no", "code": "invalid_api_key"}, ErrorType.AUTHENTICATION, False),
    (403, {"message": "no"}, ErrorType.PERMISSION, False),
    (404, {"message": "no"}, ErrorType.NOT_FOUND, False),
    (408, {"message": "no"}, ErrorType.TIMEOUT, True),
    (422, {"message": "no"}, ErrorType.INVALID_REQUEST, False),
    (429, {"message": "no", "code": "rate_limit_exceeded"}, ErrorType.RATE_LIMIT, True),
    (429, {"message": "no", "code": "insufficient_quota"}, ErrorType.QUOTA, False),
    (500, {"message": "no"}, ErrorType.SERVER, True),
    (503, {"message": "no"}, ErrorType.SERVER, True),
    (418, {"message": "no"}, ErrorType.OTHER, False),
    (0, {"message": "no"}, ErrorType.SERVER, True),
    (402, {"message": "no"}, ErrorType.QUOTA, False),
    (413, {"message": "no"}, ErrorType.INVALID_REQUEST, False),
]


@pytest.mark.parametrize(("status", "error", "kind", "retryable"), REFUSED)
def test_a_refused_row_is_an_error(status: int, error: Any, kind: ErrorType, retryable: bool) -> None:
    """The error is in the body while `error` is null; its words and its body are kept."""
    response = {"status_code": status, "request_id": "req_1", "body": {"error": error}}
    result, _ = codec.decode(answer(response), "q1")
    assert result.error is not None
    assert (result.custom_id, result.status, result.request_id) == ("q1", ResultStatus.ERRORED, "req_1")
    assert (result.error.type, result.error.retryable) == (kind, retryable)
    assert (result.error.message, result.response) == ("no", {"error": error})
    assert result.error.raw == {"status_code": status, "error": error}


@pytest.mark.parametrize(
    ("error", "status", "kind", "retryable", "message"),
    [
        ({"code": "batch_expired", "message": "late"}, ResultStatus.EXPIRED, ErrorType.EXPIRED, True, "late"),
        ({"code": "batch_cancelled", "message": "no"}, ResultStatus.CANCELLED, ErrorType.CANCELLED, True, "no"),
        ({"code": "request_timeout", "message": "slow"}, ResultStatus.ERRORED, ErrorType.TIMEOUT, True, "slow"),
        ({"code": "new_word", "message": None}, ResultStatus.ERRORED, ErrorType.OTHER, False, "new_word"),
        (None, ResultStatus.ERRORED, ErrorType.OTHER, False, "neither an answer nor a reason"),
        ("lost", ResultStatus.ERRORED, ErrorType.OTHER, False, "lost"),
    ],
)
def test_a_row_that_never_ran_says_why(
    error: Any, status: ResultStatus, kind: ErrorType, retryable: bool, message: str
) -> None:
    """A row without a response has its own code for how it ended."""
    result, _ = codec.decode(answer(None, error), "q1")
    assert result.error is not None
    assert (result.status, result.error.type, result.error.retryable) == (status, kind, retryable)
    assert message in result.error.message
    assert result.error.raw == error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"custom_id": "t-0"}', "neither an answer nor a reason"),
        (b'{"custom_id": "t-0", "response": [], "error": []}', "neither an answer nor a reason"),
        (answer({}), "neither an answer nor a reason"),
        (ok(None), "HTTP 200"),
        (ok("<html>busy</html>"), "<html>busy</html>"),
        (answer({"status_code": 502, "body": "<html>busy</html>"}), "<html>busy</html>"),
        (answer({"status_code": 502, "body": None}), "HTTP 502"),
        (answer({"status_code": "502", "body": {}}), "HTTP 502"),
        (answer({"status_code": 400, "body": {"error": {"message": None}}}), "HTTP 400"),
        (ok(COMPLETION, error={"code": "server_error", "message": "half done"}), "half done"),
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
        ({"usage": {"prompt_tokens": "many"}}, {"usage": None, "text": "42"}),
        ({"usage": None}, {"usage": None, "text": "42"}),
        ({"usage": {}}, {"usage": Usage(), "text": "42"}),
        ({"choices": []}, {"text": None, "finish_reason": None}),
        ({"choices": None}, {"text": None, "model": COMPLETION["model"]}),
        ({"choices": "none"}, {"text": None, "model": COMPLETION["model"]}),
        ({"choices": [{}]}, {"text": None}),
        ({"choices": [{"message": None}]}, {"text": None}),
        ({"service_tier": {"new": [1]}}, {"text": "42"}),
    ],
)
def test_an_odd_answer_is_still_one(change: dict[str, Any], expected: dict[str, Any]) -> None:
    """A paid answer is not lost over a field: what can be read is, and the body is kept."""
    result, repaired = codec.decode(ok(COMPLETION | change), "q1")
    assert result.status is ResultStatus.SUCCEEDED
    assert {name: getattr(result, name) for name in expected} == expected
    assert plain(ok(COMPLETION | change))["response"] == COMPLETION | change
    assert not repaired


@pytest.mark.parametrize("call", ["add", None, {}, {"function": None}, {"function": "add"}, {"function": {"name": 1}}])
def test_an_odd_tool_call_does_not_cost_the_answer(call: Any) -> None:
    """A call of another shape is in the list with what can be read of it."""
    result, _ = codec.decode(with_message(content="42", tool_calls=[call]), "q1")
    assert result.status is ResultStatus.SUCCEEDED
    assert len(result.tool_calls) == 1


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (rb'"a\ud800b"', "a\ufffd\ufffd\ufffdb"),
        (rb'"a\uD800b"', "a\ufffd\ufffd\ufffdb"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"ab", "logprobs": NaN', "ab"),
        (rb'"ab", "logprobs": "\uDfff"', "ab"),
        (b'"ab", "logprobs": "\xff"', "ab"),
    ],
)
def test_an_answer_with_a_bad_character_is_repaired(sent: bytes, text: str) -> None:
    """What strict JSON refuses is replaced, the rest is kept, and the repair is known."""
    line = ok(COMPLETION).replace(b'"42"', sent)
    result, repaired = codec.decode(line, "q1")
    assert (result.status, result.text, repaired) == (ResultStatus.SUCCEEDED, text, True)
    assert codec.read_row_id(line) == "t-0"
    assert msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult).text == text


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (rb'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (rb'"\uD83D\uDE00"', "\N{GRINNING FACE}"),
        (b'"\xe2\x80\xa8"', "\u2028"),
    ],
)
def test_good_characters_are_left_alone(sent: bytes, text: str) -> None:
    """A pair of surrogates is one character, a line separator another: nothing needs repair."""
    result, repaired = codec.decode(ok(COMPLETION).replace(b'"42"', sent), "q1")
    assert (result.text, repaired) == (text, False)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"<html>",
        ok(COMPLETION)[:-1],
        ok(COMPLETION)[: len(ok(COMPLETION)) // 2],
        ok("@").replace(b'"@"', b"[" * 10**5),
    ],
)
def test_a_torn_answer_is_a_value_error(line: bytes) -> None:
    """What is not JSON is an error that the road expects, and no other."""
    with pytest.raises(ValueError, match=r"."):
        codec.decode(line, "q1")


@pytest.mark.parametrize("depth", [10, 100, 300, 500, 700, 900, 950, 990, 1_000, 1_010, 2_000, 100_000])
def test_a_deep_answer_is_read_or_refused(depth: int) -> None:
    """However deep an answer is nested, it is refused, or it can be written and read as a result."""
    line = ok(COMPLETION | {"deep": "@"}).replace(b'"@"', b"[" * depth + b"1" + b"]" * depth)
    try:
        result, _ = codec.decode(line, "q1")
    except ValueError:
        assert depth > 300
    else:
        assert msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult).text == "42"


# --- row ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "row_id"),
    [
        (b'{"id": "b", "custom_id": "t-0", "response"', "t-0"),  # torn, but it says whose it is
        (b'{"id":"b","custom_id":"t-0","response":null}', "t-0"),
        (b'{"custom_id": "t-0", "id": "b"}', "t-0"),
        (b'{"id": "\\"", "response": {"custom_id": "inner"}, "custom_id": "t-0"}', "t-0"),
        (b'{"id": "b", "custom_id": "t\\u002d0"}', "t-0"),
        (b'{"custom_id": "t-0", "response": {"body": NaN}}', "t-0"),
        (b'{"custom_id": "t-0", "response": {"body": "\xff"}}', "t-0"),
        (b'{"response": {"body": "\\ud800"}, "custom_id": "t-0"}', "t-0"),
        (b'{"id": "b", "custom_id": 5}', None),
        (b'{"id": "b"}', None),
        (b'["custom_id"]', None),
        (b"", None),
        (b"<html>", None),
        (b'{"response": {"custom_id": "inner"}}', None),
        (b"[" * 100_000, None),
    ],
)
def test_the_row_id_is_found(line: bytes, row_id: str | None) -> None:
    """The row id is found wherever it stands in the row; a row that cannot be read has none."""
    assert codec.read_row_id(line) == row_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 600) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["code", "message", "name"]), inner),
    max_leaves=4,
)
FUNCTION = st.fixed_dictionaries({}, optional={"id": JSON, "function": JSON})
MESSAGE = st.fixed_dictionaries(
    {}, optional={"content": JSON, "refusal": JSON, "tool_calls": st.lists(FUNCTION) | JSON}
)
CHOICE = st.fixed_dictionaries({}, optional={"message": MESSAGE | JSON, "finish_reason": JSON})
BODY = st.fixed_dictionaries(
    {}, optional={"model": JSON, "choices": st.lists(CHOICE) | JSON, "usage": JSON, "error": JSON}
)
RESPONSE = st.fixed_dictionaries(
    {"status_code": st.sampled_from([200, 200, 400, 500, None]), "request_id": st.just("r") | JSON, "body": BODY | JSON}
)
ROW = st.fixed_dictionaries(
    {}, optional={"custom_id": st.just("t-0") | JSON, "response": RESPONSE | JSON, "error": JSON}
)


@given(ROW | JSON)
def test_every_answer_makes_a_result(row: Any) -> None:
    """Whatever JSON the service sends, there is a result, and it can be written and read back as one."""
    result, _ = codec.decode(json.dumps(row).encode(), "q1")
    again = msgspec.json.decode(msgspec.json.encode(result), type=UnifiedResult)
    assert (again.status, again.text, again.error is None) == (result.status, result.text, result.error is None)


# --- rows recorded from the service ---------------------------------------------------------------------------------


@pytest.fixture
def recorded(shared: Path) -> Path:
    folder = shared / "golden" / "openai"
    if not folder.is_dir():
        pytest.skip("no recorded rows are here")
    return folder


def rows(folder: Path, field: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The recorded lines that have a field: `response` for answers, `method` for requests."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().split(b"\n"):
            if line and field in (row := json.loads(line)):
                yield line, row


def test_recorded_answers_are_read(recorded: Path) -> None:
    """Text, tokens and model of each recorded completion are in its result, and the body as it was."""
    answered = [(line, row) for line, row in rows(recorded, "response") if "choices" in row["response"]["body"]]
    assert len(answered) >= 50
    for line, row in answered:
        body = row["response"]["body"]
        result = msgspec.json.decode(msgspec.json.encode(codec.decode(line, "q1")[0]), type=UnifiedResult)
        assert codec.read_row_id(line) == row["custom_id"]
        assert (result.status, result.text) == ("succeeded", body["choices"][0]["message"]["content"])
        assert (result.model, result.response, result.error) == (body["model"], body, None)
        assert result.usage is not None
        assert result.usage.input_tokens == body["usage"]["prompt_tokens"] > 0
        assert result.usage.output_tokens == body["usage"]["completion_tokens"] > 0


def test_recorded_refusals_are_read(recorded: Path) -> None:
    """The words of each recorded error are in its result, of the kind that it was."""
    kinds = set()
    for line, row in rows(recorded, "response"):
        if row["response"]["status_code"] != 200:
            result, _ = codec.decode(line, "q1")
            assert result.error is not None
            assert (result.status, result.error.message) == ("errored", row["response"]["body"]["error"]["message"])
            kinds.add(result.error.type)
    assert kinds == {ErrorType.INVALID_REQUEST, ErrorType.QUOTA}


def test_recorded_answers_of_the_other_endpoint_are_kept(recorded: Path) -> None:
    """A body of `/v1/responses`, whose shape is another, is not lost."""
    others = [(line, row) for line, row in rows(recorded, "response") if "output" in row["response"]["body"]]
    assert len(others) == 3
    for line, row in others:
        assert plain(line)["status"] == "succeeded"
        assert plain(line)["response"] == row["response"]["body"]


def test_recorded_requests_go_out_as_they_came(recorded: Path) -> None:
    """A row of a batch file is sent as it is, but for the row id and the new name of `max_tokens`."""
    chats = [row for _, row in rows(recorded, "method") if row["url"] == "/v1/chat/completions"]
    assert len(chats) == 38
    for row in chats:
        sent = wire(row_from(row))["body"]
        body = {("max_completion_tokens" if key == "max_tokens" else key): value for key, value in row["body"].items()}
        assert sent == body
