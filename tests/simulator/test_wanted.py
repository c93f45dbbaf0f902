"""A request for JSON, for JSON by a schema or for a call is answered so, in each provider's dialect."""

import json
from typing import Any

import jsonschema
import pytest

from batch_router.simulator import Scenario
from batch_router.simulator.answers import Form, text_for
from batch_router.simulator.anthropic import wanted as anthropic
from batch_router.simulator.google import wanted as google
from batch_router.simulator.openai_answers import answer_for
from batch_router.simulator.openai_answers import wanted as openai
from batch_router.simulator.scenario import Answer
from batch_router.simulator.vllm.answers import answer as vllm_answer

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "score": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["mood", "score"],
    "additionalProperties": False,
}
SUBSET = {
    "type": "OBJECT",
    "properties": {
        "mood": {"type": "STRING", "enum": ["good", "bad"], "format": "enum"},
        "score": {"type": "INTEGER", "minimum": 1, "maximum": 5},
        "note": {"type": "STRING", "nullable": True},
        "tags": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "2", "maxItems": "2"},
    },
    "required": ["mood", "score", "tags"],
    "propertyOrdering": ["mood", "score"],
}
PROMPT = {"messages": [{"role": "user", "content": "How was it?"}]}
TOOL = {"name": "rate", "description": "Rates", "parameters": SCHEMA}
CHAT_TOOLS = [
    {"type": "function", "function": {"name": "other"}},
    {"type": "function", "function": TOOL},
    {"type": "custom", "custom": {"name": "code"}},
]


def chat(**body: Any) -> Any:
    return answer_for(Scenario(), "/v1/chat/completions", {"model": "m", **PROMPT, **body}, "r", 0)["choices"][0]


def response(**body: Any) -> Any:
    return answer_for(Scenario(), "/v1/responses", {"model": "m", "input": "How was it?", **body}, "r", 0)["output"][0]


@pytest.mark.parametrize(
    "form",
    [
        openai.form_of({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}),
        openai.form_of({"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}}),
        openai.form_of({"structured_outputs": {"json": SCHEMA}}),
        openai.form_of({"guided_json": json.dumps(SCHEMA)}),
        anthropic.form_of({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
        google.form_of({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}}),
        google.form_of({"generation_config": {"response_mime_type": "application/json", "response_schema": SUBSET}}),
    ],
)
def test_an_answer_fits_the_schema(form: Form) -> None:
    """Each dialect's way to give a schema is read, and the text is an instance; the same request gives the same one."""
    text = text_for(Scenario(), "How was it?", form)
    made = json.loads(text)
    jsonschema.validate({name: made[name] for name in ("mood", "score")}, SCHEMA)
    assert text == text_for(Scenario(), "How was it?", form)


def test_googles_subset_is_read_as_a_schema() -> None:
    """Types in capitals, counts as text, and `nullable` mean what they mean at the service."""
    schema = google.json_schema(SUBSET)
    assert schema["properties"]["tags"] == {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    assert schema["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    # A property may be called like a keyword.
    assert google.json_schema({"properties": {"type": {"type": "STRING"}}})["properties"]["type"] == {"type": "string"}


def test_a_scenarios_answer_wins() -> None:
    """What the scenario says is answered, whatever the schema says."""
    scenario = Scenario(answers=(Answer(match="How", text="Well"),))
    assert text_for(scenario, "How was it?", Form(is_json=True, schema=SCHEMA)) == "Well"


@pytest.mark.parametrize("form", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "n"}}])
def test_json_without_a_schema_is_an_object(form: dict[str, Any]) -> None:
    """The text of JSON mode is an object."""
    assert isinstance(json.loads(chat(response_format=form)["message"]["content"]), dict)


def test_vllm_chooses_and_matches() -> None:
    """`choice` gives one of the choices, `regex` a match, in today's words and in the old ones."""
    for body in ({"structured_outputs": {"choice": ["x", "y"]}}, {"guided_choice": ["x", "y"]}):
        assert chat(**body)["message"]["content"] in ("x", "y")
    assert chat(structured_outputs={"regex": r"\d{3}"})["message"]["content"].isdigit()
    assert vllm_answer(Scenario(), "/v1/chat/completions", PROMPT, "r", 0)["choices"][0]["message"]["tool_calls"] == []


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"type": "function", "function": {"name": "rate"}}, "stop"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CHAT_TOOLS[1]]}}, "tool_calls"),
    ],
)
def test_a_demanded_call_of_chat_fits_its_schema(choice: Any, reason: str) -> None:
    """The message has the call and no text; as at the service, the demand for one tool ends with `stop`."""
    answered = chat(tools=CHAT_TOOLS, tool_choice=choice)
    (call,) = answered["message"]["tool_calls"]
    assert (call["function"]["name"], answered["message"]["content"], answered["finish_reason"]) == (
        "rate",
        None,
        reason,
    )
    jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMA)


def test_calls_of_other_kinds() -> None:
    """`required` takes any tool, a custom tool takes text, and `functions` have a member of their own."""
    assert chat(tools=CHAT_TOOLS, tool_choice="required")["message"]["tool_calls"][0]["function"]["name"] == "other"
    custom = chat(tools=CHAT_TOOLS, tool_choice={"type": "custom", "custom": {"name": "code"}})
    assert custom["message"]["tool_calls"][0]["custom"] == {"name": "code", "input": "How was it?"}
    legacy = chat(functions=[TOOL], function_call={"name": "rate"})["message"]["function_call"]
    jsonschema.validate(json.loads(legacy["arguments"]), SCHEMA)
    for free in (
        "auto",
        "none",
        None,
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": CHAT_TOOLS}},
    ):
        assert chat(tools=CHAT_TOOLS, tool_choice=free)["message"]["content"] == "How was it?"


def test_calls_of_responses() -> None:
    """The output is a call, of a function or of a custom tool."""
    tools = [{"type": "web_search"}, {"type": "function", **TOOL}, {"type": "custom", "name": "code"}]
    for choice in ("required", {"type": "function", "name": "rate"}):
        call = response(tools=tools, tool_choice=choice)
        assert (call["type"], call["name"]) == ("function_call", "rate")
        jsonschema.validate(json.loads(call["arguments"]), SCHEMA)
    assert response(tools=tools, tool_choice={"type": "custom", "name": "code"})["type"] == "custom_tool_call"
    assert response(tools=tools)["type"] == "message"


@pytest.mark.parametrize("choice", [{"type": "tool", "name": "rate"}, {"type": "any"}])
def test_calls_of_anthropic(choice: Any) -> None:
    """One tool or any is demanded."""
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"name": "rate", "input_schema": SCHEMA}]
    call = anthropic.call_of(Scenario(), {**PROMPT, "tools": tools, "tool_choice": choice})
    assert call is not None
    assert call.name == "rate"
    jsonschema.validate(call.written, SCHEMA)
    assert anthropic.call_of(Scenario(), {**PROMPT, "tools": tools, "tool_choice": {"type": "auto"}}) is None


def test_calls_of_google() -> None:
    """`ANY` demands a call, of one of the allowed functions where some are named; both spellings are read."""
    declarations = [{"name": "other"}, {"name": "rate", "parameters": SUBSET}]
    request = {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"functionDeclarations": declarations}]}
    config = {"mode": "ANY", "allowedFunctionNames": ["rate"]}
    call = google.call_of(Scenario(), request | {"toolConfig": {"functionCallingConfig": config}})
    assert call is not None
    assert call.name == "rate"
    jsonschema.validate(call.written, google.json_schema(SUBSET))
    snake = {
        "tools": [{"function_declarations": declarations}],
        "tool_config": {"function_calling_config": {"mode": "any"}},
    }
    other = google.call_of(Scenario(), request | snake)
    assert other is not None
    assert other.name == "other"
    assert google.call_of(Scenario(), request) is None
