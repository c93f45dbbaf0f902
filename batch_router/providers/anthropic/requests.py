"""A unified request as the `params` of a message."""

import msgspec

from ...core import (
    Content,
    DocumentContent,
    GenerationConfig,
    ImageContent,
    TextContent,
    Tool,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from ...exceptions import UnsupportedContentTypeError, ValidationError
from .schema import SCHEMAS

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PDF = "application/pdf"


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
        prompt = request.system_prompt
        params.system = (
            prompt if isinstance(prompt, str) else [_text(part) if isinstance(part, str) else part for part in prompt]
        )
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
        case "minimal":
            raise ValidationError(
                "generation_config.reasoning_effort: anthropic has no 'minimal'; use 'low', or 'none' to turn it off"
            )
        case effort:
            output["effort"] = effort
    params.output_config = output or None


def _encode_tool(tool: Tool) -> dict[str, object]:
    encoded: dict[str, object] = {"name": tool.name, "input_schema": SCHEMAS.tool.of(tool).value}
    if tool.description is not None:
        encoded["description"] = tool.description
    if tool.strict is not None:
        encoded["strict"] = tool.strict
    return encoded


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
    if message.is_text_only():
        return {"role": message.role, "content": message.get_text(), **message.provider_kwargs}
    parts: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for part in message.content:
        # The results of tools must come before whatever else the user says to them.
        into = results if isinstance(part, ToolResultContent) else parts
        into.append(_encode_part(part, message.role))
    return {"role": message.role, "content": results + parts, **message.provider_kwargs}


def _encode_part(part: Content | str, role: str) -> dict[str, object]:
    match part:
        case TextContent():
            return _text(part.text)
        case ImageContent():
            if part.source_type == "base64" and part.media_type not in _IMAGES:
                raise _unsupported(
                    f"image of the type {part.media_type!r}", f"convert it to one of {', '.join(_IMAGES)}"
                )
            return {"type": "image", "source": _source(part)}
        case DocumentContent():
            if role != "user":
                raise _unsupported("document in a turn of the assistant", "send it in a turn of the user")
            if part.source_type == "base64" and part.media_type != _PDF:
                raise _unsupported(f"document of the type {part.media_type!r}", "send a PDF, or its text as text")
            title = {"title": part.filename} if part.filename else {}
            return {"type": "document", "source": _source(part), **title}
        case ToolCallContent():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case ToolResultContent():
            failed = {"is_error": True} if part.is_error else {}
            return {"type": "tool_result", "tool_use_id": part.tool_call_id, "content": part.get_text(), **failed}
    raise _unsupported("such part", "leave it out")


def _source(part: ImageContent | DocumentContent) -> dict[str, object]:
    if part.source_type == "url":
        return {"type": "url", "url": part.data}
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _text(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


def _unsupported(what: str, remedy: str) -> UnsupportedContentTypeError:
    return UnsupportedContentTypeError(f"anthropic takes no {what}; {remedy}")
