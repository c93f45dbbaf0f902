"""Chat completions to results."""

from typing import Any, Literal

import msgspec

from ....core import FinishReason, ResultStatus, UnifiedResult, Usage

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
