"""The result lines of a Message Batch."""

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ...core import ErrorType, FinishReason, ResultError, ResultStatus, UnifiedResult, Usage
from ...jsonl import decode_leniently, is_clean


class _RowId(msgspec.Struct):
    custom_id: str


_decode_row_id = msgspec.json.Decoder(_RowId).decode

# How the service begins each line. An id without escapes is read without parsing the row.
_BEGINNING = re.compile(rb'\{"custom_id": ?"([^"\\]*)"')


class _Succeeded(msgspec.Struct):
    type: Literal["succeeded"]
    message: msgspec.Raw


class _Answer(msgspec.Struct):
    result: _Succeeded


_decode_answer = msgspec.json.Decoder(_Answer).decode

#: The type of a result without an answer -> how the row ended, and the kind of its error
_UNANSWERED = {
    "canceled": (ResultStatus.CANCELLED, ErrorType.CANCELLED, "cancelled before it was answered"),
    "expired": (ResultStatus.EXPIRED, ErrorType.EXPIRED, "the provider ran out of time"),
}

#: The type of an error -> what it means and whether another try may help
_ERRORS: dict[str, tuple[ErrorType, bool]] = {
    "invalid_request_error": (ErrorType.INVALID_REQUEST, False),
    "request_too_large": (ErrorType.INVALID_REQUEST, False),
    "authentication_error": (ErrorType.AUTHENTICATION, False),
    "billing_error": (ErrorType.QUOTA, False),
    "permission_error": (ErrorType.PERMISSION, False),
    "not_found_error": (ErrorType.NOT_FOUND, False),
    "rate_limit_error": (ErrorType.RATE_LIMIT, True),
    "timeout_error": (ErrorType.TIMEOUT, True),
    "api_error": (ErrorType.SERVER, True),
    "overloaded_error": (ErrorType.SERVER, True),
}

_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}


def read_row_id(line: bytes) -> str | None:
    """See `Codec.read_row_id`."""
    if beginning := _BEGINNING.match(line):
        return beginning[1].decode(errors="replace")
    try:
        return _decode_row_id(line).custom_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        row, _ = decode_leniently(line)
    except ValueError:
        return None
    row_id = row.get("custom_id") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, str) else None


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`. The usual answer is read by its known fields; anything else is taken apart leniently."""
    try:
        if is_clean(line):
            answer = _decode_answer(line)
            body = answer.result.message
            return _decode_message(custom_id, _read_message(body), body), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    row, repaired = decode_leniently(line)
    return _decode_row(row if isinstance(row, dict) else {}, custom_id), repaired


def _decode_row(row: dict[str, Any], custom_id: str) -> UnifiedResult:
    """Any result line."""
    result = row.get("result")
    result = result if isinstance(result, dict) else {}
    kind = str(result.get("type"))
    message = result.get("message")
    if kind == "succeeded" and isinstance(message, dict):
        return _decode_message(custom_id, _read_leniently(message), message)
    if kind in _UNANSWERED:
        status, error_type, reason = _UNANSWERED[kind]
        error = ResultError(type=error_type, message=reason, retryable=True, raw=result)
        return UnifiedResult(custom_id=custom_id, status=status, error=error)
    return _decode_error(custom_id, result.get("error") or result or None)


# --- messages -------------------------------------------------------------------------------------------------------


class _Block(msgspec.Struct):
    """A part of the answer, of whatever type."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None


class _StopDetails(msgspec.Struct):
    explanation: str | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(msgspec.Struct):
    """The parts of a message that a result is made of."""

    content: list[_Block] | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None


_read_message = msgspec.json.Decoder(_Message).decode


def _read_leniently(body: dict[str, Any]) -> _Message:
    """What can be read of a message; each part that has another shape is left out (`response` keeps it)."""
    known: dict[str, Any] = {}
    for name in ("model", "stop_reason", "stop_details", "usage"):
        try:
            part = msgspec.convert({name: body.get(name)}, _Message)
        except msgspec.ValidationError:
            continue
        known[name] = getattr(part, name)
    return _Message(**known, content=list(_readable_blocks(body.get("content"))))


def _readable_blocks(content: Any) -> Iterator[_Block]:
    for block in content if isinstance(content, list) else ():
        try:
            yield msgspec.convert(block, _Block)
        except msgspec.ValidationError:
            continue


def _decode_message(custom_id: str, message: _Message, body: msgspec.Raw | dict[str, Any]) -> UnifiedResult:
    blocks = message.content or []
    texts = [block.text for block in blocks if block.type == "text" and block.text is not None]
    thoughts = [block.thinking for block in blocks if block.type == "thinking" and block.thinking]
    raw = message.stop_reason
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.SUCCEEDED,
        text="".join(texts) if texts else None,
        tool_calls=[
            {"id": block.id, "name": block.name, "arguments": block.input}
            for block in blocks
            if block.type == "tool_use"
        ],
        reasoning="\n\n".join(thoughts) or None,
        refusal=message.stop_details.explanation if message.stop_details else None,
        finish_reason=_FINISH_REASONS.get(raw, FinishReason.OTHER) if raw else None,
        finish_reason_raw=raw,
        usage=_unified_usage(message.usage) if message.usage else None,
        model=message.model,
        response=body,
    )


def _unified_usage(usage: _Usage) -> Usage:
    """Here the input is counted in three parts; everywhere else it is one number, with the cached tokens in it."""
    read = usage.cache_read_input_tokens
    fresh = usage.input_tokens
    details = usage.output_tokens_details
    return Usage(
        input_tokens=None if fresh is None else fresh + (usage.cache_creation_input_tokens or 0) + (read or 0),
        cached_tokens=read,
        output_tokens=usage.output_tokens,
        reasoning_tokens=details.thinking_tokens if details else None,
    )


# --- errors ---------------------------------------------------------------------------------------------------------


def _decode_error(custom_id: str, error: Any) -> UnifiedResult:
    """The result of a row that was refused: an error in an error, with the id of the call beside the inner one."""
    outer = error if isinstance(error, dict) else {}
    inner = outer.get("error", outer)
    inner = inner if isinstance(inner, dict) else {"message": inner}
    kind, retryable = _ERRORS.get(str(inner.get("type")), (ErrorType.OTHER, False))
    message = inner.get("message") or (error if isinstance(error, str) else None) or inner.get("type")
    request_id = outer.get("request_id")
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.ERRORED,
        request_id=request_id if isinstance(request_id, str) else None,
        error=ResultError(
            type=kind,
            message=str(message or "the provider gave neither an answer nor a reason"),
            retryable=retryable,
            raw=error,
        ),
    )
