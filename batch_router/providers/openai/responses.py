"""The dialect of `/v1/responses`: the requests of chat completions, with other names."""

from typing import Any

import msgspec

from ...core import (
    Content,
    DocumentContent,
    ErrorType,
    FinishReason,
    ImageContent,
    NamedTool,
    ResultError,
    ResultStatus,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
    UnifiedResult,
    Usage,
)
from .._openai_dialect.chat import read_arguments


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
            "tools": [_tool(msgspec.to_builtins(tool)) for tool in config.tools or ()] or None,
            "tool_choice": _tool_choice(config.tool_choice),
        }
        body |= {name: value for name, value in known.items() if value is not None}
        if config.output_schema is not None:
            schema = {"strict": False} | msgspec.to_builtins(config.output_schema)
            body["text"] = {"format": {"type": "json_schema"} | schema}
    return body


def _tool(tool: dict[str, object]) -> dict[str, object]:
    # Left out, `strict` is true here, and a schema that is not made for it is refused.
    return {"type": "function", "strict": False} | tool


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


# --- answers --------------------------------------------------------------------------------------------------------

_INCOMPLETE = {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}


def decode_response(custom_id: str, body: dict[str, Any], request_id: str | None) -> UnifiedResult:
    """The result that a response holds; unknown shapes are left out (`response` keeps them)."""
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for item in _objects(body.get("output")):
        match item.get("type"):
            case "message":
                for part in _objects(item.get("content")):
                    _collect(part.get("text"), texts)
                    _collect(part.get("refusal"), refusals)
            case "reasoning":
                for part in _objects(item.get("summary")) + _objects(item.get("content")):
                    _collect(part.get("text"), thoughts)
            case "function_call":
                arguments = read_arguments(item.get("arguments"))
                calls.append({"id": item.get("call_id"), "name": item.get("name"), "arguments": arguments})
    failed = body.get("status") == "failed"
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.ERRORED if failed else ResultStatus.SUCCEEDED,
        text="".join(texts) if texts else None,
        tool_calls=calls,
        reasoning="\n".join(thoughts) or None,
        refusal="".join(refusals) or None,
        finish_reason=None if failed else _finish_reason(body, has_refusal=any(refusals), has_calls=bool(calls)),
        finish_reason_raw=_raw_finish_reason(body),
        usage=_usage(body.get("usage")),
        model=body["model"] if isinstance(body.get("model"), str) else None,
        request_id=request_id,
        error=_model_error(body.get("error")) if failed else None,
        response=body,
    )


def _finish_reason(body: dict[str, Any], *, has_refusal: bool, has_calls: bool) -> FinishReason:
    if body.get("status") == "incomplete":
        return _INCOMPLETE.get(str(_incomplete_reason(body)), FinishReason.OTHER)
    if has_refusal:
        return FinishReason.REFUSAL
    return FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP


def _raw_finish_reason(body: dict[str, Any]) -> str | None:
    word = _incomplete_reason(body) or body.get("status")
    return word if isinstance(word, str) else None


def _incomplete_reason(body: dict[str, Any]) -> Any:
    details = body.get("incomplete_details")
    return details.get("reason") if isinstance(details, dict) else None


def _model_error(error: Any) -> ResultError:
    message = error.get("message") if isinstance(error, dict) else None
    return ResultError(
        type=ErrorType.SERVER, message=str(message or "the model failed to respond"), retryable=True, raw=error
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _collect(text: Any, into: list[str]) -> None:
    if isinstance(text, str):
        into.append(text)


def _usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    return Usage(
        input_tokens=_count(usage, "input_tokens"),
        cached_tokens=_count(usage.get("input_tokens_details"), "cached_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        reasoning_tokens=_count(usage.get("output_tokens_details"), "reasoning_tokens"),
    )


def _count(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) else None
