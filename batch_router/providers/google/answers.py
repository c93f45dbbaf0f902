"""The answers in a Gemini batch's file of responses."""

import re
from typing import Any

import msgspec

from ...core import ErrorType, FinishReason, ResultError, ResultStatus, UnifiedResult, Usage
from ...jsonl import decode_leniently, is_clean


class _RowId(msgspec.Struct):
    key: str


_decode_row_id = msgspec.json.Decoder(_RowId).decode

# The service writes the keys of an answer in any order. First or last, ours is found without parsing the row: between
# its braces an unescaped `"key":` can only be a key, and one followed by the row's last brace is the row's own.
_BEGINNING = re.compile(rb'\{"key": ?"([^"\\]*)"')
_END = re.compile(rb'"key": ?"([^"\\]*)"\}\s*$')
_LONGEST_END = 200


class _Answer(msgspec.Struct):
    response: msgspec.Raw
    error: None = None
    status: None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_row_id(line: bytes) -> str | None:
    """See `Codec.read_row_id`."""
    if found := _BEGINNING.match(line) or _END.search(line, max(0, len(line) - _LONGEST_END)):
        return found[1].decode(errors="replace")
    try:
        return _decode_row_id(line).key
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        row, _ = decode_leniently(line)
    except ValueError:
        return None
    row_id = row.get("key") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, str) else None


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`. The usual answer is read by its known fields; anything else is taken apart leniently."""
    try:
        if is_clean(line):
            answer = _decode_answer(line)
            return _decode_body(custom_id, answer.response, _decode_raw(answer.response)), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    row, repaired = decode_leniently(line)
    return _decode_row(row if isinstance(row, dict) else {}, custom_id), repaired


def _decode_row(row: dict[str, Any], custom_id: str) -> UnifiedResult:
    """Any answer: one with a response, or one with an `error` (which the documentation calls `status`)."""
    error = row.get("error") or row.get("status")
    response = row.get("response")
    if error is None and isinstance(response, dict):
        return _decode_body(custom_id, response, _read_leniently(response))
    return _decode_error(custom_id, error, response)


# --- answers --------------------------------------------------------------------------------------------------------

_FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}


class _Call(msgspec.Struct):
    name: str | None = None
    id: str | None = None
    args: dict[str, Any] | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: _Call | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Embedding(msgspec.Struct):
    values: list[float] | None = None


class _Body(msgspec.Struct, rename="camel"):
    """The parts of a response that a result is made of."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    embedding: _Embedding | None = None


_decode_raw = msgspec.json.Decoder(_Body).decode
_NAMES = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "embedding")


def _read_leniently(body: dict[str, Any]) -> _Body:
    """What can be read of a response; each part that has another shape is left out (`response` keeps it)."""
    known: dict[str, Any] = {}
    for name in _NAMES:
        try:
            msgspec.convert({name: body.get(name)}, _Body)
        except msgspec.ValidationError:
            continue
        known[name] = body.get(name)
    return msgspec.convert(known, _Body)


def _decode_body(custom_id: str, response: msgspec.Raw | dict[str, Any], body: _Body) -> UnifiedResult:
    """The result that a response holds. Of several candidates the first is the text; `response` has them all.

    A prompt that was blocked is an answer without text: the service did its work, the same request would be blocked
    again, and an answer that is blocked half-way is not an error either. `finish_reason` is `content_filter` for both,
    and `refusal` says why.
    """
    candidate = body.candidates[0] if body.candidates else _Candidate()
    parts = (candidate.content.parts if candidate.content else None) or []
    calls = [part.function_call for part in parts if part.function_call is not None]
    raw = candidate.finish_reason
    reason = _FINISH_REASONS.get(raw, FinishReason.OTHER) if raw else None
    if calls and reason is FinishReason.STOP:
        reason = FinishReason.TOOL_CALLS  # the service has no word of its own for it
    refusal = None
    if not body.candidates and body.prompt_feedback and body.prompt_feedback.block_reason:
        raw, reason = body.prompt_feedback.block_reason, FinishReason.CONTENT_FILTER
        refusal = body.prompt_feedback.block_reason_message or f"the prompt was blocked: {raw}"
    numbers = body.embedding.values if body.embedding else None
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.SUCCEEDED,
        text=_join(part.text for part in parts if not part.thought),
        tool_calls=[_tool_call(call, number) for number, call in enumerate(calls)],
        reasoning=_join(part.text for part in parts if part.thought),
        refusal=refusal,
        finish_reason=reason,
        finish_reason_raw=raw,
        usage=_unified_usage(body.usage_metadata) if body.usage_metadata else None,
        model=body.model_version,
        request_id=body.response_id,
        response=response,
        embedding=msgspec.UNSET if numbers is None else numbers,
    )


def _join(texts: Any) -> str | None:
    found = [text for text in texts if text is not None]
    return "".join(found) if found else None


def _tool_call(call: _Call, number: int) -> dict[str, Any]:
    """A call; where the service gave it no id it gets one, for its result must name it."""
    return {"id": call.id or f"call_{number}", "name": call.name, "arguments": call.args or {}}


def _unified_usage(usage: _Usage) -> Usage:
    """Tokens as they are billed: thoughts are output, and the service does not count them among its candidates'."""
    return Usage(
        input_tokens=_sum(usage.prompt_token_count, usage.tool_use_prompt_token_count),
        cached_tokens=usage.cached_content_token_count,
        output_tokens=_sum(usage.candidates_token_count, usage.thoughts_token_count),
        reasoning_tokens=usage.thoughts_token_count,
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


# --- errors ---------------------------------------------------------------------------------------------------------

#: google.rpc.Code -> what it means, and whether another try may help
_ERRORS: dict[int, tuple[ErrorType, bool]] = {
    1: (ErrorType.CANCELLED, True),
    2: (ErrorType.SERVER, True),  # UNKNOWN
    3: (ErrorType.INVALID_REQUEST, False),
    4: (ErrorType.TIMEOUT, True),
    5: (ErrorType.NOT_FOUND, False),
    6: (ErrorType.INVALID_REQUEST, False),  # ALREADY_EXISTS
    7: (ErrorType.PERMISSION, False),
    8: (ErrorType.RATE_LIMIT, True),
    9: (ErrorType.INVALID_REQUEST, False),  # FAILED_PRECONDITION
    10: (ErrorType.SERVER, True),  # ABORTED
    11: (ErrorType.INVALID_REQUEST, False),  # OUT_OF_RANGE
    12: (ErrorType.INVALID_REQUEST, False),  # UNIMPLEMENTED
    13: (ErrorType.SERVER, True),
    14: (ErrorType.SERVER, True),
    15: (ErrorType.SERVER, True),  # DATA_LOSS
    16: (ErrorType.AUTHENTICATION, False),
}


def _decode_error(custom_id: str, error: Any, response: Any) -> UnifiedResult:
    inner = error if isinstance(error, dict) else {"message": error}
    code = inner.get("code")
    kind, retryable = _ERRORS.get(code, (ErrorType.OTHER, False)) if isinstance(code, int) else (ErrorType.OTHER, False)
    message = inner.get("message") or (f"google.rpc code {code}" if code is not None else None)
    return UnifiedResult(
        custom_id=custom_id,
        # What was not reached when a job was cancelled has this code, in a job that says that it succeeded.
        status=ResultStatus.CANCELLED if kind is ErrorType.CANCELLED else ResultStatus.ERRORED,
        error=ResultError(
            type=kind,
            message=str(message or "the provider gave neither an answer nor a reason"),
            retryable=retryable,
            raw=error,
        ),
        response=response,
    )
