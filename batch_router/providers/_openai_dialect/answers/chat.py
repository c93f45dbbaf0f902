"""Chat completions, and the older text completions, to results."""

from collections.abc import Iterable
from typing import Any

import msgspec

from ....core import FinishReason, ResultStatus, UnifiedResult
from ..._rows.shapes import NULL, Shape
from .calls import Call, Function, function_call, unified_call
from .images import Link, image_at
from .usage import WireUsage, unified_usage

# Members of an enumeration are slow to find.
_SUCCEEDED, _OTHER = ResultStatus.SUCCEEDED, FinishReason.OTHER
_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class _Part(msgspec.Struct, gc=False):
    text: str | None = None
    refusal: str | None = None
    image_url: Link | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | list[_Part | str] | None = None
    refusal: str | None = None
    reasoning: str | None = None  # vLLM since 0.33
    reasoning_content: str | None = None  # vLLM before
    tool_calls: list[Call] | None = None
    function_call: Function | None = None  # before `tool_calls`
    annotations: list[dict[str, Any]] | None = None
    images: list[_Part] | None = None  # OpenRouter and other gateways


class Choice(msgspec.Struct, gc=False):
    """One of the answers to a request."""

    message: _Message | None = None
    text: str | None = None  # of `/v1/completions`
    finish_reason: str | None = None


class Completion(msgspec.Struct, gc=False):
    """The parts of a completion that a result is made of, and what tells it from other bodies."""

    object: str | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: Any = None
    output: msgspec.Raw = NULL


completions = Shape(Completion)
_NO_MESSAGE = _Message()


def decode_completion(
    custom_id: str, completion: Completion, choice: Choice, body: msgspec.Raw, request_id: str | None
) -> UnifiedResult:
    """The result of a completion: of its first choice; `response` has them all."""
    message = choice.message or _NO_MESSAGE
    text, refusal, images = message.content, message.refusal, message.images
    if text.__class__ is not str:  # else it is the usual answer
        parts = _parts(message.content)
        text = choice.text if (joined := _join(part.text for part in parts)) is None else joined
        refusal = refusal or _join(part.refusal for part in parts)
        images = parts + (images or [])
    raw = choice.finish_reason
    reason = _FINISH_REASONS.get(raw, _OTHER) if raw else None
    return UnifiedResult(
        custom_id=custom_id,
        status=_SUCCEEDED,
        text=text,
        tool_calls=_tool_calls(message) if message.tool_calls or message.function_call else [],
        reasoning=message.reasoning or message.reasoning_content,
        images=_images(images) if images else [],
        citations=message.annotations or [],
        refusal=refusal,
        finish_reason=FinishReason.REFUSAL if refusal else reason,
        finish_reason_raw=raw,
        usage=unified_usage(completion.usage) if completion.usage else None,
        model=completion.model,
        request_id=request_id,
        response=body,
    )


def _parts(content: str | list[_Part | str] | None) -> list[_Part]:
    listed = content if isinstance(content, list) else []
    return [_Part(text=part) if isinstance(part, str) else part for part in listed]


def _images(parts: list[_Part]) -> list[dict[str, Any]]:
    return [image_at(part.image_url.url) for part in parts if part.image_url and part.image_url.url]


def _join(texts: Iterable[str | None]) -> str | None:
    found = [text for text in texts if text is not None]
    return "".join(found) if found else None


def _tool_calls(message: _Message) -> list[dict[str, Any]]:
    """The calls; one in the old form has no id and gets one, for its result must name it."""
    if message.tool_calls or message.function_call is None:
        return [unified_call(call) for call in message.tool_calls or ()]
    return [function_call("call_0", message.function_call)]
