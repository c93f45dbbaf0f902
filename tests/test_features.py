"""What each provider takes: every cell of the table in docs/providers.md. `python -m tests.test_features` prints it."""

import importlib
from pkgutil import iter_modules
from typing import Any

import msgspec
import pytest

import batch_router.providers
from batch_router.core import (
    Content,
    DocumentContent,
    GenerationConfig,
    ImageContent,
    NamedTool,
    OutputSchema,
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
from batch_router.providers import Provider
from batch_router.settings import Settings

from .conftest import ROOT

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = Tool(name="weather", parameters=SCHEMA)
HI = UnifiedMessage(role="user", content="hi")


def config(**fields: Any) -> dict[str, Any]:
    return {"generation_config": GenerationConfig(**{"max_tokens": 77} | fields)}


def part(content: Any) -> dict[str, Any]:
    return {"messages": [UnifiedMessage(role="user", content=[TextContent(text="See:"), content])]}


def media(kind: Any, source: str, media_type: str) -> dict[str, Any]:
    data = "aGVsbG8=" if source == "base64" else "https://example.com/a"
    return part(kind(source_type=source, media_type=media_type, data=data))


CALLED = [
    HI,
    UnifiedMessage(role="assistant", content=[ToolCallContent(id="c1", name="weather", arguments={"city": "Oslo"})]),
    UnifiedMessage(role="user", content=[ToolResultContent(tool_call_id="c1", name="weather", content="rain")]),
]
RETURNED = UnifiedMessage(
    role="user",
    content=[
        ToolResultContent(
            tool_call_id="c1",
            content=[
                TextContent(text="see"),
                ImageContent(source_type="base64", media_type="image/png", data="aGVsbG8="),
            ],
        )
    ],
)
FAILED = UnifiedMessage(
    role="user", content=[ToolResultContent(tool_call_id="c1", content="no such city", is_error=True)]
)


def thought(**seal: Any) -> dict[str, Any]:
    said: list[Content] = [ThinkingContent(text="Hm.", **seal), TextContent(text="yes?")]
    return {"messages": [HI, UnifiedMessage(role="assistant", content=said), HI]}


#: feature -> what a request says that uses it
FEATURES: dict[str, dict[str, Any]] = {
    "text": {"messages": [UnifiedMessage(role="user", content="another text")]},
    "several turns": {"messages": [HI, UnifiedMessage(role="assistant", content="yes?"), HI]},
    "system prompt": {"system_prompt": "Be brief."},
    "system prompt as a list": {"system_prompt": ["Be brief.", "Be kind."]},
    "image as base64": media(ImageContent, "base64", "image/png"),
    "image by URL": media(ImageContent, "url", "image/png"),
    "PDF as base64": media(DocumentContent, "base64", "application/pdf"),
    "PDF by URL": media(DocumentContent, "url", "application/pdf"),
    "tools": config(tools=[TOOL]),
    "tool choice": config(tools=[TOOL], tool_choice=NamedTool(name="weather")),
    "tool calls and results": {"messages": CALLED},
    "image in a tool's result": {"messages": [*CALLED[:2], RETURNED]},
    "failed tool": {"messages": [*CALLED[:2], FAILED]},
    "thought with a `signature`": thought(signature="cw=="),
    "thought with an `id` (for the endpoint `responses`)": thought(id="rs_1", data="xx"),
    "cache markers": part(TextContent(text="LONG", cache_control={"type": "ephemeral"})),
    "detail of an image": part(
        ImageContent(source_type="url", media_type="image/png", data="https://example.com/a", detail="low")
    ),
    "JSON object": config(json_object=True),
    "structured output": config(output_schema=OutputSchema(schema=SCHEMA)),
    "reasoning effort": config(reasoning_effort="low"),
    "max tokens": config(max_tokens=78),
    "temperature": config(temperature=0.3),
    "top_p": config(top_p=0.3),
    "top_k": config(top_k=3),
    "stop sequences": config(stop_sequences=["END"]),
    "presence penalty": config(presence_penalty=0.3),
    "frequency penalty": config(frequency_penalty=0.3),
    "seed": config(seed=3),
    "service tier": config(service_tier="auto"),
    "other keys (`provider_kwargs`)": {"provider_kwargs": {"another": 1}},
    "keys of a message": {"messages": [UnifiedMessage(role="user", content="hi", provider_kwargs={"another": 1})]},
}
ENDPOINTS = {"responses": "endpoint `responses`", "embeddings": "endpoint `embeddings`"}
PROVIDERS: dict[str, type[Provider]] = {
    module.name: importlib.import_module(f"batch_router.providers.{module.name}").PROVIDER
    for module in iter_modules(batch_router.providers.__path__)
    if module.ispkg and not module.name.startswith("_")
}
ORDER = sorted(PROVIDERS, key=["openai", "anthropic", "google", "vllm"].index)


def wire(provider: type[Provider], unsupported: Any = "error", **fields: Any) -> tuple[bytes, dict[str, int]]:
    request = UnifiedRequest(**{"custom_id": "a", "model": "m", "messages": [HI], **config()} | fields)
    encoder = RowEncoder(provider, unsupported, Settings())
    return msgspec.json.encode(encoder.encode(request, "t-0")), dict(encoder.dropped)


def takes(provider: type[Provider], feature: str) -> bool:
    """Whether a request with the feature goes out, and goes out another than without."""
    try:
        return wire(provider, **FEATURES[feature])[0] != wire(provider)[0]
    except ValidationError:
        return False


def table() -> str:
    head = f"| | {' | '.join(ORDER)} |\n|---|{'---|' * len(ORDER)}\n"
    rows = [
        (feature, ["yes" if takes(PROVIDERS[name], feature) else "no" for name in ORDER]) for feature in FEATURES
    ] + [
        (ENDPOINTS[endpoint], ["yes" if endpoint in PROVIDERS[name].endpoints else "no" for name in ORDER])
        for endpoint in ENDPOINTS
    ]
    return head + "".join(f"| {feature} | {' | '.join(cells)} |\n" for feature, cells in rows)


def test_the_table_in_the_docs_is_true() -> None:
    """Each cell says what a request with that feature came to at that provider."""
    assert table() in (ROOT / "docs" / "providers.md").read_text()


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("feature", FEATURES)
def test_what_is_not_taken_is_refused_or_dropped(name: str, feature: str) -> None:
    """Nothing is left out in silence: the refusal names the provider, and what is dropped is counted."""
    provider = PROVIDERS[name]
    if takes(provider, feature):
        assert wire(provider, "drop", **FEATURES[feature])[1] == {}
        return
    with pytest.raises(ValidationError, match=f"{name} does not take it; .*, or submit with unsupported='drop'"):
        wire(provider, **FEATURES[feature])
    assert wire(provider, "drop", **FEATURES[feature])[1] != {}


if __name__ == "__main__":
    print(table(), end="")
