"""A unified request as the `params` of a message."""

import msgspec

from ...core import (
    Content,
    DocumentContent,
    GenerationConfig,
    ImageContent,
    TextContent,
    ThinkingContent,
    Tool,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from ...core.media import plain_media_type
from ...exceptions import ValidationError
from .schema import SCHEMAS

_Markable = Tool | TextContent | ImageContent | DocumentContent | ToolCallContent | ToolResultContent


class Params(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What a message is made from; what is left at None is not sent."""

    model: str | None
    messages: list[object]
    max_tokens: int | None = None
    system: str | list[object] | None = None
    stop_sequences: list[str] | None = None
    tools: list[object] | None = None
    tool_choice: dict[str, object] | None = None
    output_config: dict[str, object] | None = None
    thinking: dict[str, object] | None = None
    service_tier: str | None = None


def encode_params(request: UnifiedRequest) -> Params | dict[str, object]:
    """The params, with the user's own keys laid over them.

    Turns of the same role in a row are the service's to merge: it takes them for one.

    Raises:
        ValidationError: the service would refuse it.
    """
    config = request.generation_config
    params = Params(model=request.model, messages=_encode_messages(request.messages))
    if request.system_prompt:
        params.system = _encode_system(request.system_prompt)
    if config is not None:
        _add_config(params, config)
    if params.max_tokens is None and "max_tokens" not in request.provider_kwargs:
        raise ValidationError(
            "generation_config.max_tokens: anthropic wants it in every request; "
            "set it there, or for the whole batch, to the most tokens that an answer may have"
        )
    if not request.provider_kwargs:
        return params
    plain: dict[str, object] = msgspec.to_builtins(params, builtin_types=(msgspec.Raw,))
    return plain | request.provider_kwargs


def _encode_system(prompt: str | list[str | TextContent]) -> str | list[object]:
    if isinstance(prompt, str):
        return prompt
    return [_encode_part(part) for part in prompt]


def _add_config(params: Params, config: GenerationConfig) -> None:
    params.max_tokens = config.max_tokens
    params.stop_sequences = config.stop_sequences
    params.service_tier = config.service_tier
    if config.tools is not None:
        params.tools = [_encode_tool(tool) for tool in config.tools]
    if (choice := config.tool_choice) is not None:
        if isinstance(choice, str):
            params.tool_choice = {"type": "any" if choice == "required" else choice}
        else:
            params.tool_choice = {"type": "tool", "name": choice.name}
    output: dict[str, object] = {}
    if config.output_schema is not None:
        # The service has no use for the schema's name, and always enforces it.
        output["format"] = {"type": "json_schema", "schema": SCHEMAS.output.of(config.output_schema).value}
    match config.reasoning_effort:
        case None:
            pass
        case "none":
            params.thinking = {"type": "disabled"}
        case effort:
            output["effort"] = effort
    params.output_config = output or None


def _encode_tool(tool: Tool) -> dict[str, object]:
    encoded: dict[str, object] = {"name": tool.name, "input_schema": SCHEMAS.tool.of(tool).value}
    if tool.description is not None:
        encoded["description"] = tool.description
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    return _marked(encoded, tool)


def _encode_messages(messages: list[UnifiedMessage]) -> list[object]:
    if messages[0].role != "user":
        raise ValidationError(
            "messages[0].role: anthropic wants the user to speak first; begin with a turn of the user"
        )
    # A plain text is already in the provider's shape; most rows hold nothing else.
    return [
        message if message.content.__class__ is str and not message.provider_kwargs else _encode_message(message)
        for message in messages
    ]


def _encode_message(message: UnifiedMessage) -> dict[str, object]:
    if message.is_text_only() and not _is_marked(message):
        return {"role": message.role, "content": message.get_text(), **message.provider_kwargs}
    parts: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for part in message.content:
        # The results of tools must come before whatever else the user says to them.
        into = results if isinstance(part, ToolResultContent) else parts
        into.append(_encode_part(part))
    return {"role": message.role, "content": results + parts, **message.provider_kwargs}


def _is_marked(message: UnifiedMessage) -> bool:
    return any(getattr(part, "cache_control", None) is not None for part in message.content)


def _encode_part(part: Content | str) -> dict[str, object]:
    match part:
        case ThinkingContent():
            return _encode_thought(part)
        case str():
            return {"type": "text", "text": part}
        case TextContent():
            return _marked({"type": "text", "text": part.text}, part)
        case ImageContent():
            return _marked({"type": "image", "source": _source(part)}, part)
        case DocumentContent():
            title = {"title": part.filename} if part.filename else {}
            return _marked({"type": "document", "source": _source(part), **title}, part)
        case ToolCallContent():
            return _marked({"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}, part)
        case ToolResultContent():
            return _marked(_encode_result(part), part)


def _encode_result(part: ToolResultContent) -> dict[str, object]:
    failed = {"is_error": True} if part.is_error else {}
    content = part.content if isinstance(part.content, str) else [_encode_part(each) for each in part.content]
    return {"type": "tool_result", "tool_use_id": part.tool_call_id, "content": content, **failed}


def _encode_thought(part: ThinkingContent) -> dict[str, object]:
    if part.data is not None:
        return {"type": "redacted_thinking", "data": part.data}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _marked(encoded: dict[str, object], source: _Markable) -> dict[str, object]:
    """With the cache marker of what was encoded, if it has one."""
    return encoded if source.cache_control is None else encoded | {"cache_control": source.cache_control}


def _source(part: ImageContent | DocumentContent) -> dict[str, object]:
    if part.source_type == "url":
        return {"type": "url", "url": part.data}
    return {"type": "base64", "media_type": plain_media_type(part.media_type), "data": part.data}
