"""What an answer has beside its text: thoughts, calls, images, citations, embeddings, and what it cost."""

import base64
import json
import struct
from typing import Any

import msgspec
import pytest

from batch_router.core import ThinkingContent, ToolCallContent, UnifiedMessage, UnifiedRequest, UnifiedResult
from batch_router.exceptions import ValidationError
from tests.providers.answers import (
    HI,
    HI_PART,
    OUTPUT_TEXT,
    Row,
    anthropic,
    chat,
    google,
    openai,
    plain,
    response,
    said,
)


def read(provider: str, row: Row) -> UnifiedResult:
    return msgspec.json.decode(json.dumps(plain(provider, json.dumps(row).encode())), type=UnifiedResult)


# --- thoughts -------------------------------------------------------------------------------------------------------

THOUGHTS: list[tuple[str, Row, str | None, list[Row]]] = [
    (
        "anthropic",
        anthropic(
            {"type": "thinking", "thinking": "hm", "signature": "s="},
            {"type": "redacted_thinking", "data": "d="},
            HI_PART,
        ),
        "hm",
        [{"text": "hm", "signature": "s="}, {"text": "", "data": "d="}],
    ),
    (
        "openai",
        openai(
            response(
                {"type": "reasoning", "id": "rs_1", "encrypted_content": "e=", "summary": [{"text": "hm"}]},
                {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"text": "so"}], "encrypted_content": 5},
                said(OUTPUT_TEXT),
            )
        ),
        "hm\nso",
        [{"text": "hm", "id": "rs_1", "data": "e="}, {"text": "so", "id": "rs_2"}],
    ),
    (
        "google",
        google({"text": "hm", "thought": True, "thoughtSignature": "a="}, {"text": "hi", "thoughtSignature": "b="}),
        "hm",
        [{"text": "hm", "signature": "a="}, {"text": "", "signature": "b="}],
    ),
    ("vllm", openai(chat(HI | {"reasoning": "hm"})), "hm", []),
]


@pytest.mark.parametrize(("provider", "row", "reasoning", "thoughts"), THOUGHTS)
def test_thoughts_keep_their_seals(provider: str, row: Row, reasoning: str | None, thoughts: list[Row]) -> None:
    """Each is a `ThinkingContent` with what the provider wants to see again; `reasoning` is their text."""
    result = read(provider, row)
    assert (result.text, result.reasoning) == ("hi", reasoning)
    assert result.thoughts == [{"type": "thinking"} | thought for thought in thoughts]
    made = [ThinkingContent(**thought) for thought in result.thoughts]
    assert made == [ThinkingContent(**thought) for thought in thoughts]


# --- tool calls -----------------------------------------------------------------------------------------------------

CLICK = {"type": "click", "x": 1, "y": 2}
#: an item of a response that the user is to carry out -> the call
ITEMS: list[tuple[Row, Row]] = [
    ({"type": "function_call", "name": "f", "arguments": '{"a": 1}'}, {"name": "f", "arguments": {"a": 1}}),
    ({"type": "function_call", "name": "f", "arguments": "{torn"}, {"name": "f", "arguments": "{torn"}),
    ({"type": "custom_tool_call", "name": "sql", "input": '{"a": 1}'}, {"name": "sql", "arguments": '{"a": 1}'}),
    ({"type": "computer_call", "action": CLICK}, {"name": "computer", "arguments": {"action": CLICK}}),
    (
        {"type": "shell_call", "action": {"commands": ["ls"]}},
        {"name": "shell", "arguments": {"action": {"commands": ["ls"]}}},
    ),
    (
        {"type": "local_shell_call", "action": {"command": ["ls"]}},
        {"name": "local_shell", "arguments": {"action": {"command": ["ls"]}}},
    ),
    (
        {"type": "apply_patch_call", "operation": {"path": "a"}},
        {"name": "apply_patch", "arguments": {"operation": {"path": "a"}}},
    ),
    (
        {"type": "tool_search_call", "arguments": {"q": 1}, "execution": "client"},
        {"name": "tool_search", "arguments": {"q": 1}},
    ),
]


@pytest.mark.parametrize(("item", "call"), ITEMS)
def test_calls_of_the_users_tools_are_tool_calls(item: Row, call: Row) -> None:
    """Of whatever kind they are: the id is the one that the outcome has to name."""
    result = read("openai", openai(response(item | {"id": "i", "call_id": "c"})))
    assert result.tool_calls == [{"id": "c"} | call]
    assert (result.finish_reason, result.usage) == ("tool_calls", None)


#: a row -> how often the service ran its own tools
SERVER_TOOLS: list[tuple[str, Row, dict[str, int]]] = [
    (
        "openai",
        openai(
            response(
                *[{"type": "web_search_call", "id": "w"}] * 2,
                {"type": "mcp_call", "id": "m", "name": "roll", "arguments": "{}", "output": "6"},
                {"type": "shell_call", "call_id": "c", "environment": {"type": "container_reference"}},
                {"type": "file_search_call", "id": "f", "queries": ["a"]},
                {"type": "code_interpreter_call", "id": "p", "code": "1"},
                said(OUTPUT_TEXT),
            )
        ),
        {"web_search": 2, "mcp": 1, "shell": 1, "file_search": 1, "code_interpreter": 1},
    ),
    (
        "anthropic",
        anthropic(
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}},
            HI_PART,
            usage={"input_tokens": 1, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 0}},
        ),
        {"web_search": 3, "code_execution": 1},
    ),
    (
        "google",
        google(
            {"executableCode": {"code": "1"}},
            {"text": "hi"},
            groundingMetadata={"webSearchQueries": ["a", "b"]},
            urlContextMetadata={"urlMetadata": [{}]},
        ),
        {"google_search": 2, "url_context": 1, "code_execution": 1},
    ),
]


@pytest.mark.parametrize(("provider", "row", "counts"), SERVER_TOOLS)
def test_tools_of_the_provider_are_counted(provider: str, row: Row, counts: dict[str, int]) -> None:
    """They cost money and are nothing for the user to carry out."""
    if provider == "google":
        row["response"]["usageMetadata"] = {"promptTokenCount": 1}
    result = read(provider, row)
    assert result.usage is not None
    assert (result.usage.server_tools, result.tool_calls, result.text) == (counts, [], "hi")


def test_odd_arguments_are_what_the_model_wrote() -> None:
    """A call without an object of arguments is still one; where the service gave none, they are empty."""
    result = read("google", google({"functionCall": {"name": "f", "args": "a=1"}}, {"functionCall": {"name": "g"}}))
    assert [call["arguments"] for call in result.tool_calls] == ["a=1", {}]
    called = {"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}
    assert read("openai", openai(chat(HI | {"tool_calls": [called]}))).tool_calls[0]["arguments"] == {"a": 1}


def test_a_sealed_call_keeps_its_seal() -> None:
    """Gemini wants to see the signature of a call again, beside it."""
    result = read("google", google({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s="}))
    assert result.tool_calls == [{"id": "call_0", "name": "f", "arguments": {"a": 1}, "signature": "s="}]
    assert (ToolCallContent(**result.tool_calls[0]).signature, result.thoughts) == ("s=", [])


# --- images and citations -------------------------------------------------------------------------------------------

PNG = {"media_type": "image/png", "data": "AAAA"}
DATA_URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
IMAGES: list[tuple[str, Row, list[Row]]] = [
    ("google", google({"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}), [PNG]),
    ("google", google({"text": "hi"}, {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}), []),
    ("openai", openai(response(said(OUTPUT_TEXT), {"type": "image_generation_call", "result": "AAAA"})), [PNG]),
    (
        "openai",
        openai(response(said(OUTPUT_TEXT), {"type": "image_generation_call", "result": "A", "output_format": "jpeg"})),
        [{"media_type": "image/jpeg", "data": "A"}],
    ),
    ("openai", openai(chat(HI | {"images": [DATA_URL]})), [PNG]),
    ("openai", openai(chat({"content": [HI_PART, DATA_URL]})), [PNG]),
    (
        "openai",
        openai(chat(HI | {"images": [{"image_url": {"url": "https://a/b.png"}}]})),
        [{"url": "https://a/b.png"}],
    ),
]


@pytest.mark.parametrize(("provider", "row", "images"), IMAGES)
def test_images_stand_beside_the_text(provider: str, row: Row, images: list[Row]) -> None:
    """They are not the text, and cost nothing of it; a sound stays in the response."""
    result = read(provider, row)
    assert (result.text, result.images) == ("hi", images)


URL = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 2}
PAGE = {"type": "web_search_result", "url": "https://a", "title": "A", "encrypted_content": "e="}
CITED = {"type": "web_search_result_location", "url": "https://a", "cited_text": "a", "encrypted_index": "i="}
CHUNK = {"web": {"uri": "https://a", "title": "A"}}
QUOTED = {"startIndex": 0, "endIndex": 2, "uri": "https://b"}
CITATIONS: list[tuple[str, Row, list[Row]]] = [
    (
        "openai",
        openai(chat(HI | {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://a"}}, 5]})),
        [{"type": "url_citation", "url_citation": {"url": "https://a"}}],
    ),
    ("openai", openai(response(said(OUTPUT_TEXT | {"annotations": [URL]}))), [URL]),
    (
        "anthropic",
        anthropic(
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [PAGE]}, HI_PART | {"citations": [CITED]}
        ),
        [CITED, PAGE],
    ),
    ("anthropic", anthropic({"type": "web_search_tool_result", "content": {"error_code": "unavailable"}}, HI_PART), []),
    (
        "google",
        google(
            {"text": "hi"}, groundingMetadata={"groundingChunks": [CHUNK]}, citationMetadata={"citations": [QUOTED]}
        ),
        [CHUNK, QUOTED],
    ),
]


@pytest.mark.parametrize(("provider", "row", "citations"), CITATIONS)
def test_citations_are_as_the_provider_has_them(provider: str, row: Row, citations: list[Row]) -> None:
    """All sources that the answer names, in one list."""
    result = read(provider, row)
    assert (result.text, result.citations) == ("hi", citations)


# --- tokens ---------------------------------------------------------------------------------------------------------

DETAILS = {"cached_tokens": 20, "cache_write_tokens": 30}
CACHED = {"input_tokens": 100, "cached_tokens": 20, "cache_write_tokens": 30, "output_tokens": 7, "reasoning_tokens": 5}
USAGES: list[tuple[str, Row]] = [
    (
        "openai",
        openai(
            chat(
                usage={
                    "prompt_tokens": 100,
                    "completion_tokens": 7,
                    "prompt_tokens_details": DETAILS,
                    "completion_tokens_details": {"reasoning_tokens": 5},
                }
            )
        ),
    ),
    (
        "openai",
        openai(
            response(
                said(OUTPUT_TEXT),
                usage={
                    "input_tokens": 100,
                    "output_tokens": 7,
                    "input_tokens_details": DETAILS,
                    "output_tokens_details": {"reasoning_tokens": 5},
                },
            )
        ),
    ),
    (
        "anthropic",
        anthropic(
            HI_PART,
            usage={
                "input_tokens": 50,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 30,
                "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 5},
            },
        ),
    ),
]


@pytest.mark.parametrize(("provider", "row"), USAGES)
def test_tokens_mean_the_same_at_each_provider(provider: str, row: Row) -> None:
    """The input has what was read from and written to the cache, the output the reasoning."""
    assert plain(provider, json.dumps(row).encode())["usage"] == CACHED


def tokens(kind: str, fresh: int, made: int, *, written: int = 0, read: int = 0) -> Row:
    cached = {"cache_creation_input_tokens": written, "cache_read_input_tokens": read}
    return {"type": kind, "input_tokens": fresh, "output_tokens": made} | cached


def test_a_compaction_is_counted() -> None:
    """Its tokens are charged, and the totals of the message leave them out, as those of an advisor."""
    iterations = [tokens("compaction", 50_000, 5_000, read=100), tokens("message", 120, 100), 5]
    usage = tokens("", 120, 100) | {"iterations": iterations}
    result = read("anthropic", anthropic({"type": "compaction", "content": "so far"}, HI_PART, usage=usage))
    assert result.usage is not None
    assert (result.usage.input_tokens, result.usage.output_tokens) == (50_220, 5_100)
    assert (result.usage.cached_tokens, result.text) == (100, "hi")


def test_a_declined_fallback_is_not_counted() -> None:
    """The totals are those of the model that answered; the service charges nothing for the one that declined."""
    usage = tokens("", 2, 9) | {"iterations": [tokens("message", 2, 5), tokens("fallback_message", 2, 9)]}
    result = read("anthropic", anthropic(HI_PART, usage=usage))
    assert result.usage is not None
    assert (result.usage.input_tokens, result.usage.output_tokens) == (2, 9)


# --- embeddings -----------------------------------------------------------------------------------------------------


def embeddings(*data: Any) -> Row:
    return openai({"object": "list", "model": "e", "data": list(data), "usage": {"prompt_tokens": 2}})


def floats(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


EMBEDDED: list[tuple[Row, Any, Any]] = [
    (embeddings({"index": 0, "embedding": [0.5, 1]}), [0.5, 1.0], None),
    (
        embeddings({"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}),
        [1.0],
        [[1.0], [2.0]],
    ),
    (embeddings({"embedding": [2.0]}, {"embedding": [1.0]}), [2.0], [[2.0], [1.0]]),
    (embeddings({"index": 0, "embedding": floats(0.5, -1.0)}), [0.5, -1.0], None),
    (embeddings({"index": 0, "embedding": floats(0.5)}, {"index": 1, "embedding": "odd"}), [0.5], [[0.5], []]),
    (embeddings({"index": 0, "embedding": floats(float("nan"))}), None, None),
    (embeddings({"index": 0, "embedding": ["a", 1.0]}), None, None),
    (embeddings(5), None, None),
]


@pytest.mark.parametrize(("row", "first", "each"), EMBEDDED)
def test_each_input_has_its_numbers(row: Row, first: Any, each: Any) -> None:
    """In the order of the inputs, from numbers or base64; what cannot be read is an empty place."""
    result = plain("openai", json.dumps(row).encode())
    assert (result["status"], result.get("embedding"), result.get("embeddings")) == ("succeeded", first, each)
    assert result["usage"]["input_tokens"] == 2


def test_gemini_counts_the_tokens_of_embeddings_elsewhere() -> None:
    """As a text, beside the numbers; several embeddings are a list."""
    result = read(
        "google", {"key": "t-0", "response": {"tokenCount": "4", "embeddings": [{"values": [1]}, {"values": [2]}]}}
    )
    assert result.usage is not None
    assert (result.usage.input_tokens, result.embedding, result.embeddings) == (4, [1.0], [[1.0], [2.0]])


# --- the next turn --------------------------------------------------------------------------------------------------

TURNS: list[tuple[str, Row, list[Row]]] = [
    ("openai", openai(chat()), [HI_PART]),
    (
        "openai",
        openai(response({"type": "reasoning", "id": "r", "encrypted_content": "e="}, said(OUTPUT_TEXT))),
        [{"type": "thinking", "id": "r", "data": "e="}, HI_PART],
    ),
    (
        "openai",
        openai(response({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"})),
        [{"type": "tool_call", "id": "c", "name": "f", "arguments": {"input": "x"}}],
    ),
    (
        "anthropic",
        anthropic(
            {"type": "thinking", "thinking": "hm", "signature": "s="},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
        ),
        [
            {"type": "thinking", "text": "hm", "signature": "s="},
            {"type": "tool_call", "id": "c", "name": "f", "arguments": {"a": 1}},
        ],
    ),
    (
        "google",
        google({"text": "hi"}, {"functionCall": {"name": "f"}, "thoughtSignature": "s="}),
        [HI_PART, {"type": "tool_call", "id": "call_0", "name": "f", "arguments": {}, "signature": "s="}],
    ),
]


@pytest.mark.parametrize(("provider", "row", "parts"), TURNS)
def test_an_answer_is_the_assistants_turn(provider: str, row: Row, parts: list[Row]) -> None:
    """Thoughts with their seals, text and calls, in a message that a request takes."""
    message = read(provider, row).to_message()
    request = UnifiedRequest(custom_id="q2", model="m", messages=[UnifiedMessage(role="user", content="?"), message])
    assert request.to_dict()["messages"][1] == {"role": "assistant", "content": parts}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [(openai(chat({"content": None})), "makes no turn"), (openai(chat({"tool_calls": [{"id": "c"}]})), "name")],
)
def test_an_answer_of_nothing_is_no_turn(row: Row, complaint: str) -> None:
    """Nor is one with a call that has no name."""
    with pytest.raises(ValidationError, match=complaint):
        read("openai", row).to_message()
