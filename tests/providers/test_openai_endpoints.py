"""Tools, schemas and the other endpoints: requests to OpenAI, its answers, and batch files from elsewhere."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from batch_router.core import (
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
from batch_router.intake.losses import Translated
from batch_router.intake.rows import row_from
from batch_router.providers.openai import OpenAIProvider, codec
from batch_router.settings import Settings

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
STRICT = {**SCHEMA, "required": ["city"], "additionalProperties": False}
TOOL = Tool(name="weather", description="The weather of a city.", parameters=SCHEMA)
CALL = ToolCallContent(id="c1", name="weather", arguments={"city": "Oslo"})
RESULT = ToolResultContent(tool_call_id="c1", content="rain")
TOOL_TURNS = [
    UnifiedMessage(role="user", content="How is it in Oslo and Rome?"),
    UnifiedMessage(role="assistant", content=[TextContent(text="Let me see."), CALL]),
    UnifiedMessage(role="user", content=[RESULT, ToolResultContent(tool_call_id="c2", content="sun")]),
]
PICTURE = ImageContent(source_type="base64", media_type="image/png", data="aGk=", detail="low")
LINK = ImageContent(source_type="url", media_type="image/*", data="https://a/b.png", detail="auto")
PDF = DocumentContent(source_type="base64", media_type="application/pdf", data="aGk=", filename="a.pdf")


def request(*turns: UnifiedMessage, **fields: Any) -> UnifiedRequest:
    messages = list(turns) or [UnifiedMessage(role="user", content="hi")]
    return UnifiedRequest(**({"custom_id": "q1", "model": "m", "messages": messages} | fields))


def wire(row: UnifiedRequest) -> Any:
    return json.loads(msgspec.json.encode(RowEncoder(OpenAIProvider, "error", Settings()).encode(row, "t-0")))


def body(row: UnifiedRequest) -> Any:
    sent = wire(row)["body"]
    return {key: value for key, value in sent.items() if key != "model"}


def config(**fields: Any) -> UnifiedRequest:
    return request(generation_config=GenerationConfig(**fields))


# --- chat completions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        (config(seed=7), {"seed": 7}),
        (config(reasoning_effort="low"), {"reasoning_effort": "low"}),
        (
            config(tools=[TOOL]),
            {"tools": [{"type": "function", "function": {**msgspec.to_builtins(TOOL)}}]},
        ),
        (config(tool_choice="required"), {"tool_choice": "required"}),
        (
            config(tool_choice=NamedTool(name="weather")),
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            config(output_schema=OutputSchema(schema=STRICT, strict=True)),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": STRICT, "strict": True, "name": "output"},
                }
            },
        ),
    ],
)
def test_parameters_have_their_names_in_a_chat(said: UnifiedRequest, sent: dict[str, Any]) -> None:
    """Each parameter goes out under the name that chat completions know it by."""
    out = body(said)
    del out["messages"]
    if "response_format" in sent:
        sent["response_format"]["json_schema"].setdefault("name", "output")
        out["response_format"]["json_schema"].setdefault("name", "output")
    assert out == sent


def test_a_tools_result_is_a_message_of_its_own() -> None:
    """Each result is one message of the role `tool`; the call stands in the assistant's turn, its arguments as text."""
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    assert body(request(*TOOL_TURNS))["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "text", "text": "Let me see."}], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
    ]


# --- responses ------------------------------------------------------------------------------------------------------


def test_a_request_goes_out_as_a_response() -> None:
    """System prompt, turns, parts, tools and parameters under the names of `/v1/responses`."""
    row = wire(
        request(
            *TOOL_TURNS,
            UnifiedMessage(role="user", content=[PICTURE, PDF, TextContent(text="And this?")]),
            endpoint="responses",
            system_prompt=["a", "b"],
            generation_config=GenerationConfig(
                max_tokens=5,
                temperature=0.5,
                reasoning_effort="high",
                tools=[TOOL],
                tool_choice=NamedTool(name="weather"),
                output_schema=OutputSchema(schema=SCHEMA, name="w"),
            ),
            provider_kwargs={"store": False},
        )
    )
    assert row["url"] == "/v1/responses"
    assert row["body"] == {
        "model": "m",
        "instructions": "a\n\nb",
        "input": [
            {"role": "user", "content": "How is it in Oslo and Rome?"},
            {"role": "assistant", "content": "Let me see."},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "function_call_output", "call_id": "c2", "output": "sun"},
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,aGk="},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
                    {"type": "input_text", "text": "And this?"},
                ],
            },
        ],
        "max_output_tokens": 5,
        "temperature": 0.5,
        "reasoning": {"effort": "high"},
        "tools": [{"type": "function", "strict": False, **msgspec.to_builtins(TOOL)}],
        "tool_choice": {"type": "function", "name": "weather"},
        "text": {"format": {"type": "json_schema", "name": "w", "strict": False, "schema": SCHEMA}},
        "store": False,
    }


def plain(result: UnifiedResult) -> Any:
    return json.loads(msgspec.json.encode(result))


def answered(**fields: Any) -> bytes:
    answer = {"object": "response", "status": "completed", "model": "m-1", "output": []} | fields
    row = {"id": "b", "custom_id": "t-0", "response": {"status_code": 200, "request_id": "r", "body": answer}}
    return json.dumps(row | {"error": None}).encode()


def test_a_response_is_read() -> None:
    """Text, thoughts, calls and tokens are where those of a chat completion are; the body is kept."""
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "content": [{"type": "output_text", "text": "It "}, {"type": "output_text", "text": "is."}],
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Oslo"}'},
    ]
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    result, repaired = codec.decode(answered(output=output, usage=usage), "q1")
    assert (result.text, result.reasoning, repaired) == ("It is.", "Hm.", False)
    assert result.tool_calls == [{"id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}]
    assert ToolCallContent(**result.tool_calls[0]) == CALL
    assert (result.finish_reason, result.finish_reason_raw) == (FinishReason.TOOL_CALLS, "completed")
    assert result.usage == Usage(input_tokens=5, cached_tokens=1, output_tokens=7, reasoning_tokens=2)
    assert (result.model, plain(result)["response"]["output"]) == ("m-1", output)


@pytest.mark.parametrize(
    ("fields", "reason", "raw"),
    [
        ({}, FinishReason.STOP, "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"status": "incomplete"}, "other", "incomplete"),
        ({"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]}, "refusal", "completed"),
    ],
)
def test_the_end_of_a_response_is_one_of_our_words(fields: dict[str, Any], reason: str, raw: str) -> None:
    """The provider's own word is kept beside it."""
    result, _ = codec.decode(answered(**fields), "q1")
    assert (result.status, result.finish_reason, result.finish_reason_raw) == ("succeeded", reason, raw)


def test_a_failed_response_is_an_error() -> None:
    """It has the status 200 and no answer."""
    result, _ = codec.decode(answered(status="failed", error={"code": "server_error", "message": "Oops."}), "q1")
    assert result.status is ResultStatus.ERRORED
    assert result.error is not None
    assert (result.error.type, result.error.message, result.error.retryable) == (ErrorType.SERVER, "Oops.", True)


@pytest.mark.parametrize("field", ["output", "usage", "model", "incomplete_details", "status", "error"])
@pytest.mark.parametrize("value", [None, 5, "x", [5, None, {"type": "message", "content": 5}], {"a": 1}])
def test_no_shape_of_a_response_loses_it(field: str, value: Any) -> None:
    """Whatever a field holds, the body is in the result."""
    line = answered(**{field: value})
    assert plain(codec.decode(line, "q1")[0])["response"] == json.loads(line)["response"]["body"]


# --- embeddings -----------------------------------------------------------------------------------------------------


def test_a_text_is_embedded() -> None:
    """The text of the one turn is the input; the numbers are in the result, and only there is the field."""
    row = wire(request(endpoint="embeddings", provider_kwargs={"dimensions": 3}))
    assert (row["url"], row["body"]) == ("/v1/embeddings", {"model": "m", "input": "hi", "dimensions": 3})
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]
    line = answered(object="list", data=data, usage={"prompt_tokens": 4, "total_tokens": 4})
    result, _ = codec.decode(line, "q1")
    assert (result.embedding, result.text, result.model) == ([0.5, -1.0], None, "m-1")
    assert result.usage == Usage(input_tokens=4)
    assert b'"embedding":[0.5,-1.0]' in msgspec.json.encode(result)
    assert "embedding" not in plain(codec.decode(answered(), "q1")[0])


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (request(endpoint="embeddings", system_prompt="a"), "system_prompt: embeddings have none"),
        (request(*TOOL_TURNS, endpoint="embeddings"), "messages: embeddings take one turn of one text"),
    ],
)
def test_more_than_a_text_is_not_embedded(row: UnifiedRequest, complaint: str) -> None:
    """The refusal says what to leave out."""
    with pytest.raises(ValidationError, match=complaint):
        wire(row)


# --- a batch file from elsewhere --------------------------------------------------------------------------------------

ROUND_TRIPS = [
    request(),
    request(system_prompt="Be brief."),
    request(*TOOL_TURNS),
    request(UnifiedMessage(role="user", content=[PICTURE, LINK, PDF, TextContent(text="What is this?")])),
    config(temperature=0.5, max_tokens=3, top_p=0.1, reasoning_effort="low"),
    config(tools=[TOOL], tool_choice=NamedTool(name="weather")),
    config(tools=[TOOL], tool_choice="none"),
]


@pytest.mark.parametrize("endpoint", [None, Endpoint.RESPONSES])
@pytest.mark.parametrize("row", ROUND_TRIPS)
def test_a_row_of_a_batch_file_is_understood(row: UnifiedRequest, endpoint: Endpoint | None) -> None:
    """Read back, a row that goes out to OpenAI is the request that it was made of, so that it can go anywhere."""
    asked = replace(row, endpoint=endpoint)
    sent = wire(asked)
    again = row_from(sent)
    assert isinstance(again, Translated)
    assert again.losses == []
    assert wire(replace(again.request, endpoint=endpoint)) == sent
    assert [turn.role for turn in again.request.messages] == [turn.role for turn in row.messages]


def test_recorded_rows_of_the_other_endpoint_go_through(shared: Path) -> None:
    """Recorded requests to `/v1/responses` go out as they came, and the recorded answers have their text."""
    folder = shared / "golden" / "openai"
    tasks, results = sorted(folder.glob("*responses_api.jsonl"), key=lambda path: "results" in path.name)
    rows = [json.loads(line) for line in tasks.read_bytes().split(b"\n") if line]
    for row in rows:
        read = row_from(row)
        assert isinstance(read, Translated)
        sent = wire(replace(read.request, endpoint=Endpoint.RESPONSES))
        given = row["body"]["input"]
        assert sent["body"] == row["body"] | {"input": [{"role": "user", "content": given}]}
    lines = [line for line in results.read_bytes().split(b"\n") if line]
    assert len(lines) == len(rows) == 3
    for line in lines:
        answer = json.loads(line)["response"]["body"]
        result, _ = codec.decode(line, "q1")
        assert result.text == answer["output"][0]["content"][0]["text"]
        assert result.usage is not None
        assert result.usage.output_tokens == answer["usage"]["output_tokens"]
        assert plain(result)["response"] == answer
