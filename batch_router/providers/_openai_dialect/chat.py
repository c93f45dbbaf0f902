"""The chat-completions dialect, which OpenAI and vLLM share: requests to bodies, answers to results.

The way back, from such a body to a unified request, is in `intake/openai_rows.py`.
"""

from typing import Any, Literal

import msgspec

from ...core import (
    Content,
    DocumentContent,
    ErrorType,
    FinishReason,
    ImageContent,
    ResultError,
    ResultStatus,
    TextContent,
    Tool,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
    UnifiedResult,
    Usage,
)
from ...exceptions import UnsupportedContentTypeError

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


def encode_body(request: UnifiedRequest) -> ChatBody:
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
    )
    if config.tools is not None:
        body.tools = [_encode_tool(tool) for tool in config.tools]
    if (choice := config.tool_choice) is not None:
        body.tool_choice = choice if isinstance(choice, str) else {"type": "function", "function": choice}
    if config.output_schema is not None:
        body.response_format = {"type": "json_schema", "json_schema": config.output_schema}
    return body


def _encode_tool(tool: Tool) -> dict[str, object]:
    return {"type": "function", "function": tool}


def encode_messages(request: UnifiedRequest) -> list[object]:
    """The turns, with the system prompt in front of them."""
    messages: list[object] = []
    if request.system_prompt:
        messages.append(_SystemMessage(request.system_text or ""))
    for message in request.messages:
        # A plain text already has the provider's shape; most rows hold nothing else.
        if message.content.__class__ is str and not message.provider_kwargs:
            messages.append(message)
        else:
            messages += _encode_message(message)
    return messages


def merge_body(body: ChatBody, provider_kwargs: dict[str, object]) -> dict[str, object]:
    """The body, with the user's own keys in place of ours."""
    plain: dict[str, object] = msgspec.to_builtins(body)
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
            inline = part.source_type == "base64"
            image = {"url": f"data:{part.media_type};base64,{part.data}" if inline else part.data}
            return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}
        case DocumentContent(source_type="base64"):
            data = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.filename or "document.pdf", "file_data": data}}
    raise UnsupportedContentTypeError(f"chat completions take no {getattr(part, 'type', 'such')} part here")


# --- answers --------------------------------------------------------------------------------------------------------

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None  # vLLM since 0.33
    reasoning_content: str | None = None  # vLLM before
    tool_calls: list[Any] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(msgspec.Struct):
    """The parts of a completion that a result is made of."""

    object: Literal["chat.completion"] | None = None  # OpenAI's other endpoints answer something else
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


_decode_completion = msgspec.json.Decoder(_Completion).decode


def decode_completion(custom_id: str, body: msgspec.Raw | dict[str, Any], request_id: str | None) -> UnifiedResult:
    """The result that a chat completion holds. Of several choices the first is the text; `response` has them all.

    Args:
        custom_id: of the request that it answers.
        body: the completion; raw JSON is passed on as it is, without being taken apart.
        request_id: the provider's id of the call.

    Raises:
        msgspec.ValidationError: a raw body has a shape that only the lenient reading of a dict can deal with.
    """
    completion = _read_leniently(body) if isinstance(body, dict) else _decode_completion(body)
    choice = completion.choices[0] if completion.choices else _Choice()
    message = choice.message or _Message()
    raw = choice.finish_reason
    reason = _FINISH_REASONS.get(raw, FinishReason.OTHER) if raw else None
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.SUCCEEDED,
        text=message.content,
        tool_calls=[_tool_call(call) for call in message.tool_calls] if message.tool_calls else [],
        reasoning=message.reasoning or message.reasoning_content,
        refusal=message.refusal,
        finish_reason=FinishReason.REFUSAL if message.refusal else reason,
        finish_reason_raw=raw,
        usage=_unified_usage(completion.usage) if completion.usage else None,
        model=completion.model,
        request_id=request_id,
        response=body,
    )


def _read_leniently(body: dict[str, Any]) -> _Completion:
    """What can be read of a completion; each part that has another shape is left out (`response` keeps it)."""
    known: dict[str, Any] = {}
    for name in ("model", "choices", "usage"):
        try:
            part = msgspec.convert({name: body.get(name)}, _Completion)
        except msgspec.ValidationError:
            continue
        known[name] = getattr(part, name)
    return _Completion(**known)


def _tool_call(call: Any) -> dict[str, Any]:
    call = call if isinstance(call, dict) else {}
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    return {
        "id": call.get("id"),
        "name": function.get("name"),
        "arguments": read_arguments(function.get("arguments")),
    }


def read_arguments(arguments: Any) -> Any:
    """A tool call's arguments: the object that their text holds, or what the model wrote where it is none."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


def _unified_usage(usage: _Usage) -> Usage:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens,
        cached_tokens=prompt.cached_tokens if prompt else None,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=completion.reasoning_tokens if completion else None,
    )


# --- errors ---------------------------------------------------------------------------------------------------------

#: HTTP status of a row -> what it means and whether another try may help
_ERRORS: dict[int, tuple[ErrorType, bool]] = {
    400: (ErrorType.INVALID_REQUEST, False),
    401: (ErrorType.AUTHENTICATION, False),
    403: (ErrorType.PERMISSION, False),
    404: (ErrorType.NOT_FOUND, False),
    408: (ErrorType.TIMEOUT, True),
    422: (ErrorType.INVALID_REQUEST, False),
    429: (ErrorType.RATE_LIMIT, True),
}


def decode_error(custom_id: str, status_code: int, error: Any, request_id: str | None, response: Any) -> UnifiedResult:
    """The result of a row that was refused with an HTTP status."""
    inner = error if isinstance(error, dict) else {"message": error}
    kind, retryable = _ERRORS.get(status_code, (ErrorType.OTHER, False))
    if status_code >= 500:
        kind, retryable = ErrorType.SERVER, True
    if inner.get("code") == "insufficient_quota":
        kind, retryable = ErrorType.QUOTA, False
    message = inner.get("message")
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.ERRORED,
        request_id=request_id,
        error=ResultError(
            type=kind,
            message=str(message or f"HTTP {status_code}"),
            retryable=retryable,
            raw={"status_code": status_code, "error": error},
        ),
        response=response,
    )
