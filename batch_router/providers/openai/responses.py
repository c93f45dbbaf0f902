"""The dialect of `/v1/responses`: the requests of chat completions, with other names."""

import msgspec

from ...core import (
    DocumentContent,
    ImageContent,
    NamedTool,
    TextContent,
    ThinkingContent,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from .._openai_dialect.chat import url_of
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
        elif config.json_object:
            body["text"] = {"format": {"type": "json_object"}}
    return body


def _tool_choice(choice: str | NamedTool | None) -> object:
    return {"type": "function", "name": choice.name} if isinstance(choice, NamedTool) else choice


def _items(message: UnifiedMessage) -> list[dict[str, object]]:
    if isinstance(message.content, str):
        return [{"role": message.role, "content": message.content, **message.provider_kwargs}]
    items: list[dict[str, object]] = []
    own: list[TextContent | ImageContent | DocumentContent] = []
    for part in message.content:
        if not isinstance(part, TextContent | ImageContent | DocumentContent):
            items.append(_item(part))
            continue
        if not own:  # parts that items stand between are one message, where the first of them is
            place = len(items)
        own.append(part)
    if own:
        items.insert(place, {"role": message.role, "content": _content(own, message.role), **message.provider_kwargs})
    return items


def _content(parts: list[TextContent | ImageContent | DocumentContent], role: str) -> object:
    """The parts of a message; a single text of the assistant as text: the SDK's types have lists only of answers."""
    first = parts[0]
    if role == "assistant" and len(parts) == 1 and isinstance(first, TextContent):
        return first.text
    return [_part(part, role) for part in parts]


def _item(part: ThinkingContent | ToolCallContent | ToolResultContent) -> dict[str, object]:
    match part:
        case ToolResultContent():
            return {"type": "function_call_output", "call_id": part.tool_call_id, "output": _output(part.content)}
        case ToolCallContent():
            arguments = msgspec.json.encode(part.arguments).decode()
            return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}
    sealed = {"encrypted_content": part.data} if part.data is not None else {}
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", "id": part.id, "summary": summary, **sealed}


def _output(content: str | list[TextContent | ImageContent | DocumentContent]) -> object:
    return content if isinstance(content, str) else [_part(part, "user") for part in content]


def _part(part: TextContent | ImageContent | DocumentContent, role: str) -> dict[str, object]:
    match part:
        case TextContent():
            return {"type": "output_text" if role == "assistant" else "input_text", "text": part.text}
        case ImageContent():
            return {"type": "input_image", "detail": part.detail or "auto", "image_url": url_of(part)}
        case DocumentContent(source_type="url"):
            return {"type": "input_file", "file_url": part.data}
    return {"type": "input_file", "filename": part.filename or "document.pdf", "file_data": url_of(part)}
