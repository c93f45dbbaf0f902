"""The dialect of `/v1/responses`: the requests of chat completions, with other names."""

import msgspec

from ...core import (
    Content,
    DocumentContent,
    ImageContent,
    NamedTool,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from .._openai_dialect.schema import STRICT, flat_format, flat_function


def encode_response_body(request: UnifiedRequest) -> dict[str, object]:
    """The body, with the turns as items: a tool's call and its result are items of their own."""
    body: dict[str, object] = {"model": request.model}
    if request.system_prompt:
        body["instructions"] = request.system_text
    body["input"] = [item for message in request.messages for item in _items(message)]
    if request.generation_config is not None:
        config = request.generation_config
        known = {
            "max_output_tokens": config.max_tokens,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "reasoning": {"effort": config.reasoning_effort} if config.reasoning_effort else None,
            "tools": [flat_function(STRICT.tool.of(tool)) for tool in config.tools or ()] or None,
            "tool_choice": _tool_choice(config.tool_choice),
            "service_tier": config.service_tier,
        }
        body |= {name: value for name, value in known.items() if value is not None}
        if config.output_schema is not None:
            body["text"] = {"format": flat_format(STRICT.output.of(config.output_schema))}
    return body


def _tool_choice(choice: str | NamedTool | None) -> object:
    return {"type": "function", "name": choice.name} if isinstance(choice, NamedTool) else choice


def _items(message: UnifiedMessage) -> list[dict[str, object]]:
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content, **message.provider_kwargs}]
    items: list[dict[str, object]] = []
    parts: list[dict[str, object]] = []
    for part in message.content:
        if isinstance(part, ToolResultContent):
            items.append({"type": "function_call_output", "call_id": part.tool_call_id, "output": part.get_text()})
        elif isinstance(part, ToolCallContent):
            arguments = msgspec.json.encode(part.arguments).decode()
            items.append({"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments})
        else:
            parts.append(_part(part, message.role))
    if parts:
        items.insert(0, {"role": message.role, "content": parts, **message.provider_kwargs})
    return items


def _part(part: Content, role: str) -> dict[str, object]:
    match part:
        case TextContent():
            return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}
        case ImageContent():
            inline = part.source_type == "base64"
            url = f"data:{part.media_type};base64,{part.data}" if inline else part.data
            return {"type": "input_image", "detail": part.detail or "auto", "image_url": url}
        case DocumentContent(source_type="url"):
            return {"type": "input_file", "file_url": part.data}
        case DocumentContent():
            data = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_file", "filename": part.filename or "document.pdf", "file_data": data}
    raise AssertionError(f"{part.type} is an item, not a part")
