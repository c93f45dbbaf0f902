"""Rows of other providers' batch files: what `tests/dialect_features.toml` does not say of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from batch_router.core import Endpoint
from batch_router.exceptions import ValidationError
from batch_router.intake.rows import row_from
from tests.dialects import HI, PROVIDERS, row_of, send

IMAGE = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
PNG = "data:image/png;base64,aGk="
MARK = {"type": "ephemeral"}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def assistant(*parts: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(parts)}


def chat(*messages: Any, **body: Any) -> dict[str, Any]:
    return row_of("chat", **({"messages": list(messages)} if messages else {}), **body)


def responses(*items: Any, **body: Any) -> dict[str, Any]:
    return row_of("responses", **({"input": list(items)} if items else {}), **body)


def anthropic(*messages: Any, **params: Any) -> dict[str, Any]:
    return row_of("anthropic", **({"messages": list(messages)} if messages else {}), **params)


def gemini(*contents: Any, **request: Any) -> dict[str, Any]:
    return row_of("gemini", **({"contents": list(contents)} if contents else {}), **request)


def sent(provider: str, row: Any, **options: Any) -> Any:
    return send(provider, row, **options).request


def dropped(provider: str, row: Any, **options: Any) -> dict[str, int]:
    return send(provider, row, "drop", **options).dropped


def refusal(provider: str, row: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        send(provider, row)
    return str(caught.value)


# --- what goes along --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["image/jpg", "IMAGE/JPEG", "image/jpeg;charset=utf-8", "image/pjpeg"])
def test_the_type_of_an_image_is_the_registered_one(media_type: str) -> None:
    """Whatever a `data:` URL calls it, and whatever parameters that has."""
    row = chat(user({"type": "image_url", "image_url": {"url": f"data:{media_type};base64,aGk="}}))
    (block,) = sent("anthropic", row)["messages"][0]["content"]
    assert block["source"] == {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}
    (part,) = sent("google", row)["contents"][0]["parts"]
    assert part == {"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}}


def test_cache_markers_reach_anthropic() -> None:
    """Those on system, messages, parts, tools and results, as OpenRouter and LiteLLM write them."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    row = chat(
        {"role": "system", "content": [{"type": "text", "text": "LONG", "cache_control": MARK}]},
        {"role": "user", "content": "DOC", "cache_control": MARK},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "4", "cache_control": MARK},
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": MARK}],
    )
    params = sent("anthropic", row)
    assert params["system"] == [{"type": "text", "text": "LONG", "cache_control": MARK}]
    assert params["messages"][0]["content"] == [{"type": "text", "text": "DOC", "cache_control": MARK}]
    assert params["messages"][2]["content"][0]["cache_control"] == MARK
    assert params["tools"][0]["cache_control"] == MARK
    assert dropped("google", row) == {"cache_control": 4}


@pytest.mark.parametrize(("effort", "name"), [("max", "reasoning_effort"), ("huge", "effort")])
def test_gemini_before_3_has_budgets(effort: str, name: str) -> None:
    """Its efforts end with `high`, and 0 turns thinking off; what is no effort is told which there are."""
    model = "gemini-2.5-flash"
    assert dropped("google", responses(reasoning={"effort": effort}, model=model)) == {name: 1}
    config = sent("google", responses(reasoning={"effort": "none"}, model=model))["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingBudget": 0}


def test_an_image_that_a_tool_returned_is_sent_or_refused() -> None:
    """A result is never sent empty: where its image cannot go, the row is refused, also where parts may be dropped."""
    row = responses(
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": "c1", "name": "shot", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_image", "image_url": PNG}]},
    )
    (result,) = sent("anthropic", row)["messages"][2]["content"]
    assert result["content"][0]["source"]["data"] == "aGk="
    (part,) = sent("google", row)["contents"][2]["parts"]
    assert part["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    complaint = r"body\.input\[2\]\.content\[0\]: tool_result\.image\.base64: vllm does not take it; send its text"
    with pytest.raises(ValidationError, match=complaint):
        dropped("vllm", row)


def test_thinking_of_another_provider_is_lost_by_name() -> None:
    """Only its own provider can read it; the rest of the turn goes along."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    row = anthropic(HI, assistant(thought, {"type": "text", "text": "yes"}), HI)
    assert "params.messages[1].content[0]: thinking: openai does not take it" in refusal("openai", row)
    assert send("openai", row, "drop").request["messages"][1] == {"role": "assistant", "content": "yes"}


def test_all_faults_are_told_at_once() -> None:
    """Those of keys, of parameters, and of what the provider needs, each by its place in the row."""
    row = chat(HI | {"name": "bob"}, logit_bias={"1": 2}, temperature=0.5, max_tokens=None)
    assert refusal("anthropic", row).endswith(
        "body.messages[0].name: anthropic does not take it; leave it out. "
        "body.logit_bias: anthropic does not take it; leave it out. "
        "body.temperature: anthropic does not take it; leave it out: the API no longer has it, "
        "or submit with unsupported='drop'. "
        "generation_config.max_tokens: anthropic wants it in every request; "
        "set it there, or for the whole batch, to the most tokens that an answer may have"
    )


def test_an_anthropic_row_becomes_a_chat() -> None:
    """Blocks, tools and all."""
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
    row = anthropic(
        user(
            {"type": "text", "text": "How is it?"},
            {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
        ),
        assistant({"type": "text", "text": "Let me see."}, call),
        user({"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "rain"}]}),
        system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        tools=[{"name": "weather", "input_schema": {"type": "object"}}],
        tool_choice={"type": "any"},
        stop_sequences=["END"],
        thinking={"type": "adaptive"},
    )
    body = sent("vllm", row)
    function = {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert body["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        user({"type": "text", "text": "How is it?"}, IMAGE),
        assistant({"type": "text", "text": "Let me see."})
        | {"tool_calls": [{"id": "t1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
    ]
    assert (body["tool_choice"], body["stop"]) == ("required", ["END"])


def test_a_row_that_does_not_say_what_it_asks_for_takes_the_batchs_endpoint() -> None:
    """Over `/v1/responses` more goes along than over chat completions; an OpenAI row says itself where it goes."""
    source = {"type": "url", "url": "https://a/b.pdf"}
    row = anthropic(user({"type": "text", "text": "sum"}, {"type": "document", "source": source}))
    assert dropped("openai", row) == {"document.url": 1}
    (item,) = sent("openai", row, endpoint=Endpoint.RESPONSES)["input"]
    assert item["content"][1] == {"type": "input_file", "file_url": "https://a/b.pdf"}
    assert "messages" in sent("openai", chat(), endpoint=Endpoint.RESPONSES)


def test_a_gemini_row_becomes_a_message() -> None:
    """In either spelling; calls without ids are tied to their results by the tool's name."""
    city = {"type": "STRING", "nullable": True}
    declaration = {"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": city}}}
    row = gemini(
        {
            "role": "user",
            "parts": [{"text": "How is it?"}, {"inline_data": {"mime_type": "image/png", "data": "aGk="}}],
        },
        {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "rain"}}}]},
        tools=[{"function_declarations": [declaration]}],
    )
    params = sent("anthropic", row)
    called, returned = (message["content"][0] for message in params["messages"][1:])
    assert (called["name"], called["input"], called["id"]) == ("weather", {"city": "Oslo"}, returned["tool_use_id"])
    assert json.loads(returned["content"]) == {"result": "rain"}
    assert params["tools"][0]["input_schema"]["properties"]["city"]["type"] == ["string", "null"]


def test_geminis_own_schemas_are_json_schemas_elsewhere() -> None:
    """With the properties in the order that they ask for."""
    letters = {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "1"}
    schema = {"type": "OBJECT", "properties": {"b": {"type": "INTEGER"}, "a": letters}, "propertyOrdering": ["a", "b"]}
    row = gemini(generationConfig={"responseMimeType": "application/json", "response_schema": schema})
    properties = sent("vllm", row)["response_format"]["json_schema"]["schema"]["properties"]
    assert list(properties) == ["a", "b"]
    assert properties["a"] == {"type": "array", "items": {"type": "string"}, "minItems": 1}


# --- what says nothing ------------------------------------------------------------------------------------------------

NOTHING: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"n": 1}, {"stream": False}, {"tools": []}, {"tool_choice": "auto"}, {"tool_choice": "none"}, {"stop": None},
        {"stop": []}, {"response_format": {"type": "text"}}, {"response_format": None}, {"logprobs": False},
        {"top_logprobs": 0}, {"top_logprobs": None}, {"parallel_tool_calls": True}, {"store": False}, {"user": None},
        {"modalities": ["text"]}, {"presence_penalty": 0}, {"frequency_penalty": 0.0}, {"service_tier": "auto"},
        {"service_tier": "default"}, {"metadata": {}}, {"logit_bias": {}}, {"verbosity": "medium"}, {"top_k": -1},
        {"audio": None}, {"functions": []},
    ],
    "responses": [
        {"truncation": "disabled"}, {"background": False}, {"include": []}, {"reasoning": {}}, {"store": True},
        {"reasoning": {"effort": None, "summary": None}}, {"previous_response_id": None}, {"instructions": None},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}}, {"tool_choice": "auto", "tools": []},
    ],
    "anthropic": [
        {"stream": False}, {"tools": []}, {"thinking": {"type": "adaptive"}}, {"metadata": {}}, {"system": ""},
        {"service_tier": "auto"}, {"output_config": {}}, {"stop_sequences": []}, {"tool_choice": {"type": "auto"}},
    ],
    "gemini": [
        {"safetySettings": []}, {"tools": []}, {"systemInstruction": None},
        {"generationConfig": {"maxOutputTokens": 9, "candidateCount": 1, "responseMimeType": "text/plain"}},
        {"generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"thinkingBudget": -1}}},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "nothing"), [(dialect, each) for dialect, members in NOTHING.items() for each in members]
)
def test_saying_nothing_is_nothing(dialect: str, nothing: dict[str, Any]) -> None:
    """The same is sent as without it."""
    provider = "google" if dialect != "gemini" else "anthropic"
    assert sent(provider, row_of(dialect, **nothing)) == sent(provider, row_of(dialect))


def test_messages_are_taken_as_the_sdks_dump_them() -> None:
    """The nulls and empty lists of a `model_dump()` are nothing, and so is a turn without content."""
    names = ("refusal", "audio", "tool_calls", "function_call")
    dump: dict[str, Any] = {"role": "assistant", "content": "yes", "annotations": [], **dict.fromkeys(names)}
    plain = {"role": "assistant", "content": "yes"}
    assert sent("anthropic", chat(HI, dump, HI)) == sent("anthropic", chat(HI, plain, HI))
    assert sent("google", chat(HI, {"role": "assistant", "content": ""}, HI)) == sent("google", chat(HI, HI))


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (chat({"role": "system", "content": "a"}), "^body.messages: at least one turn of the user is needed$"),
        (chat(user({"type": "input_audio"})), r"body.messages\[0\].content\[0\]: input_audio"),
        ({"custom_id": "q", "url": "/v1/moderations", "body": {"input": "a"}}, "^url: '/v1/moderations' is only for"),
        ({"custom_id": "q", "params": [], "model": "m"}, "unknown field `model`; an Anthropic batch row has"),
        ({"key": "q", "request": "hi"}, "^request: must be an object"),
    ],
)
def test_a_row_that_has_no_meaning_elsewhere_is_refused(row: dict[str, Any], complaint: str) -> None:
    """Also where what is not taken may be dropped."""
    with pytest.raises(ValidationError, match=complaint):
        row_from(row)


def test_embeddings_go_to_others() -> None:
    """A single text, in a list or not, in either dialect."""
    for text in ("a", ["a"]):
        row = row_of("embeddings", input=text, encoding_format="float")
        assert sent("google", row) == {"content": {"parts": [{"text": "a"}]}}
    request = {"model": "models/e", "content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY"}
    got = send("openai", {"key": "q", "request": request}, "drop")
    assert (got.request, got.dropped) == ({"model": "e", "input": "a"}, {"taskType": 1})


def test_recorded_rows_go_to_others(shared: Path) -> None:
    """Each recorded row is sent, and little of it is dropped; Anthropic wants `max_tokens`."""
    golden = shared / "golden"
    paths = [*sorted(golden.glob("*/*input*.jsonl")), *sorted(golden.glob("*/*tasks*.jsonl"))]
    lines = [line for path in paths for line in path.read_bytes().split(b"\n") if line]
    assert len(lines) > 40
    for row in map(json.loads, lines):
        for provider in PROVIDERS:
            if provider != "anthropic" or '"max_' in json.dumps(row):
                assert set(send(provider, row, "drop").dropped) <= {"temperature"}
            else:
                assert "max_tokens: anthropic wants it in every request" in refusal(provider, row)


def test_a_rows_own_model_wins() -> None:
    """A row without one takes the batch's."""
    assert sent("openai", anthropic(model="own"), model="batch")["model"] == "own"
    row = anthropic()
    del row["params"]["model"]
    assert sent("openai", row, model="batch")["model"] == "batch"
