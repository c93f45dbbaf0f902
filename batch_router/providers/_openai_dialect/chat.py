"""The chat-completions dialect, which OpenAI and vLLM share: requests to bodies. `answers/chat.py` is the way back.

The way back, from such a body to a unified request, is in `intake/dialects/openai_chat.py`.
"""

from typing import Literal

import msgspec

from ...core import (
    Content,
    DocumentContent,
    ImageContent,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from ...core.media import plain_media_type
from ...exceptions import UnsupportedContentTypeError
from .._schemas.forms import Schemas

CHAT_URL = "/v1/chat/completions"


class _SystemMessage(msgspec.Struct, gc=False):
    content: str
    role: Literal["system"] = "system"


class ChatBody(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A request body; what is left at None is not sent."""

    model: str | None
    messages: list[object]
    temperature: float | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    tools: list[object] | None = None
    tool_choice: str | dict[str, object] | None = None
    response_format: dict[str, object] | None = None
    service_tier: str | None = None


def encode_body(request: UnifiedRequest, schemas: Schemas) -> ChatBody:
    """The body with all that OpenAI and vLLM share; they have different names for `max_tokens`."""
    config = request.generation_config
    if config is None:
        return ChatBody(model=request.model, messages=encode_messages(request))
    body = ChatBody(
        model=request.model,
        messages=encode_messages(request),
        temperature=config.temperature,
        top_p=config.top_p,
        stop=config.stop_sequences,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        seed=config.seed,
        reasoning_effort=config.reasoning_effort,
        service_tier=config.service_tier,
    )
    if config.tools is not None:
        body.tools = [{"type": "function", "function": schemas.tool.of(tool).value} for tool in config.tools]
    if (choice := config.tool_choice) is not None:
        body.tool_choice = choice if isinstance(choice, str) else {"type": "function", "function": choice}
    if config.output_schema is not None:
        body.response_format = {"type": "json_schema", "json_schema": schemas.output.of(config.output_schema).value}
    elif config.json_object:
        body.response_format = {"type": "json_object"}
    return body


def encode_messages(request: UnifiedRequest) -> list[object]:
    """The turns, with the system prompt in front of them."""
    messages: list[object] = []
    if prompt := request.system_prompt:
        messages.append(_SystemMessage(prompt if isinstance(prompt, str) else request.system_text or ""))
    for message in request.messages:
        # A plain text already has the provider's shape; most rows hold nothing else.
        if message.content.__class__ is str and not message.provider_kwargs:
            messages.append(message)
        else:
            messages += _encode_message(message)
    return messages


def merge_body(body: ChatBody, provider_kwargs: dict[str, object]) -> dict[str, object]:
    """The body, with the user's own keys in place of ours."""
    plain: dict[str, object] = msgspec.to_builtins(body, builtin_types=(msgspec.Raw,))
    return plain | provider_kwargs


def _encode_message(message: UnifiedMessage) -> list[dict[str, object]]:
    """Usually one message; results of tools are messages of their own, before the other parts of the turn."""
    if message.is_text_only():
        return [{"role": message.role, "content": message.get_text(), **message.provider_kwargs}]
    encoded: list[dict[str, object]] = []
    parts: list[dict[str, object]] = []
    calls: list[dict[str, object]] = []
    for part in message.content:
        if isinstance(part, ToolResultContent):
            encoded.append({"role": "tool", "tool_call_id": part.tool_call_id, "content": part.get_text()})
        elif isinstance(part, ToolCallContent):
            function = {"name": part.name, "arguments": msgspec.json.encode(part.arguments).decode()}
            calls.append({"id": part.id, "type": "function", "function": function})
        else:
            parts.append(_encode_part(part))
    if parts or calls:
        own: dict[str, object] = {"role": message.role, "content": parts or None}
        encoded.append(own | ({"tool_calls": calls} if calls else {}) | message.provider_kwargs)
    return encoded


def _encode_part(part: Content | str) -> dict[str, object]:
    match part:
        case TextContent():
            return {"type": "text", "text": part.text}
        case ImageContent():
            image = {"url": url_of(part)}
            return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}
        case DocumentContent(source_type="base64"):
            return {"type": "file", "file": {"filename": part.filename or "document.pdf", "file_data": url_of(part)}}
    raise UnsupportedContentTypeError(f"chat completions take no {getattr(part, 'type', 'such')} part here")


def url_of(part: ImageContent | DocumentContent) -> str:
    """The URL of an image or a document: its own, or a `data:` URL."""
    if part.source_type == "url":
        return part.data
    return f"data:{plain_media_type(part.media_type)};base64,{part.data}"
