"""The answers of `/v1/responses`, whose output is a list of items, to results."""

from typing import Any

from ...core import ErrorType, FinishReason, ResultError, ResultStatus, UnifiedResult, Usage
from .._openai_dialect.answers.chat import read_arguments

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
