"""What is sent of other providers' rows, and of unified ones, is what the official SDKs' own types allow."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types as google
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from batch_router.core import (
    DocumentContent,
    Endpoint,
    GenerationConfig,
    ImageContent,
    NamedTool,
    TextContent,
    ThinkingContent,
    Tool,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from batch_router.exceptions import ValidationError
from batch_router.intake.encode import RowEncoder
from batch_router.providers import find_provider
from batch_router.settings import Settings
from tests.conftest import ROOT
from tests.dialects import PROVIDERS, row_of, send

FEATURES: dict[str, dict[str, str]] = tomllib.loads((ROOT / "tests" / "dialect_features.toml").read_text())
CASES = [(dialect, name) for dialect, features in FEATURES.items() for name in features if dialect != "embeddings"]

_anthropic: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)
_chat: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
_response: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)


def read_back(adapter: TypeAdapter[Any], request: dict[str, Any]) -> None:
    """The types know every member of the request: what they read of it has as many."""
    read = adapter.validate_python(request, strict=False)
    for name in request:
        assert name in read, name


def check_google(request: dict[str, Any]) -> None:
    assert request.keys() <= {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
    for content in request["contents"]:
        google.Content.model_validate(content)
    kinds: dict[str, Any] = {
        "systemInstruction": google.Content,
        "generationConfig": google.GenerationConfig,
        "toolConfig": google.ToolConfig,
    }
    for name, kind in kinds.items():
        if name in request:
            kind.model_validate(request[name])
    for tool in request.get("tools", []):
        google.Tool.model_validate(tool)


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "openai": lambda request: read_back(_chat, request),
    "vllm": lambda request: read_back(_chat, {name: value for name, value in request.items() if name != "top_k"}),
    "anthropic": lambda request: read_back(_anthropic, request),
    "google": check_google,
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("dialect", "feature"), CASES)
def test_the_sdks_types_take_a_translated_row(provider: str, dialect: str, feature: str) -> None:
    """Every feature that real rows have, at every provider that does not take the row as it stands."""
    try:
        sent = send(provider, row_of(dialect, **json.loads(FEATURES[dialect][feature])), "drop")
    except ValidationError:
        return  # the table in docs/providers.md says so
    if not sent.is_native:
        CHECKS[provider](sent.request)


_PNG = ImageContent(source_type="base64", media_type="image/jpg", data="aGk=")
_MARK = {"type": "ephemeral"}
EVERYTHING = UnifiedRequest(
    custom_id="q",
    model="m",
    system_prompt=["Be brief.", TextContent(text="LONG", cache_control=_MARK)],
    messages=[
        UnifiedMessage(role="user", content=[TextContent(text="hi", cache_control=_MARK), _PNG]),
        UnifiedMessage(
            role="assistant",
            content=[
                ThinkingContent(text="Hm.", signature="cw=="),
                ThinkingContent(data="xx"),
                ThinkingContent(id="rs_1", text="Hm.", data="xx"),
                TextContent(text="Let me see."),
                ToolCallContent(id="c", name="f", arguments={"a": 1}, signature="cw=="),
            ],
        ),
        UnifiedMessage(
            role="user",
            content=[
                ToolResultContent(tool_call_id="c", content=[TextContent(text="see"), _PNG], is_error=True),
                DocumentContent(source_type="base64", media_type="application/pdf", data="aGk=", filename="a.pdf"),
            ],
        ),
    ],
    generation_config=GenerationConfig(
        max_tokens=9,
        temperature=0.5,
        stop_sequences=["END"],
        reasoning_effort="xhigh",
        tools=[Tool(name="f", strict=True, cache_control=_MARK)],
        tool_choice=NamedTool(name="f"),
        json_object=True,
    ),
)


@pytest.mark.parametrize(
    ("provider", "endpoint"), [*((name, Endpoint.CHAT) for name in PROVIDERS), ("openai", Endpoint.RESPONSES)]
)
def test_the_sdks_types_take_a_unified_request(provider: str, endpoint: Endpoint) -> None:
    """One with all that there is, without what the provider does not take."""
    encoder = RowEncoder(find_provider(provider), "drop", Settings())
    row = msgspec.structs.replace(EVERYTHING, endpoint=endpoint)
    wire = json.loads(msgspec.json.encode(encoder.encode(row, "t-0")))
    request = next(wire[name] for name in ("body", "params", "request") if name in wire)
    if endpoint is Endpoint.RESPONSES:
        read_back(_response, request)
    else:
        CHECKS[provider](request)
