"""The answers of `/v1/responses`, whose output is a list of items, to results."""

from typing import Any

import msgspec

from ....core import ErrorType, FinishReason, ResultError, ResultStatus, UnifiedResult, Usage
from ..._rows.shapes import Shape, says_something
from .errors import Meaning, Refusal, read_error
from .items import Item, images_of, parts_of, server_tools_of, thoughts_of, tool_calls_of
from .usage import WireUsage, unified_usage

_INCOMPLETE = {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}
_FAILED = Meaning(ErrorType.SERVER, retryable=True)
#: The status of a response that was not finished -> how its row ended, and the kind of its error
_UNFINISHED = {
    "queued": (ResultStatus.ERRORED, ErrorType.OTHER),
    "in_progress": (ResultStatus.ERRORED, ErrorType.OTHER),
    "cancelled": (ResultStatus.CANCELLED, ErrorType.CANCELLED),
    "canceled": (ResultStatus.CANCELLED, ErrorType.CANCELLED),
}


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct, gc=False):
    """The parts of a response that a result is made of."""

    status: str | None = None
    model: str | None = None
    output: list[Item] | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None
    usage: WireUsage | None = None


_responses = Shape(_Response)


def decode_response(custom_id: str, body: msgspec.Raw, request_id: str | None) -> UnifiedResult:
    """The result of a response. One that was cut short has succeeded; one that was not finished has not."""
    response = _responses.read(body)
    items = response.output or []
    parts, thoughts, calls = parts_of(items), thoughts_of(items), tool_calls_of(items)
    texts = [part.text for part in parts if part.text is not None]
    declined = "".join(part.refusal for part in parts if part.refusal) or None
    failure = _failure(response)
    return UnifiedResult(
        custom_id=custom_id,
        status=failure.status if failure else ResultStatus.SUCCEEDED,
        text="".join(texts) if texts else None,
        tool_calls=calls,
        reasoning="\n".join(thought["text"] for thought in thoughts if thought["text"]) or None,
        thoughts=thoughts,
        images=list(images_of(items)),
        citations=[citation for part in parts for citation in part.annotations or ()],
        refusal=declined,
        finish_reason=None if failure else _finish_reason(response, declined, calls),
        finish_reason_raw=_incomplete_reason(response) or response.status,
        usage=_usage(response, server_tools_of(items)),
        model=response.model,
        request_id=request_id,
        error=failure.error if failure else None,
        response=body,
    )


def _usage(response: _Response, server_tools: dict[str, int]) -> Usage | None:
    if response.usage is None and not server_tools:
        return None
    return unified_usage(response.usage or WireUsage(), server_tools)


def _failure(response: _Response) -> Refusal | None:
    """Why the response is no answer; None: it is one."""
    status = _status(response)
    if status in _UNFINISHED:
        ended, kind = _UNFINISHED[status]
        message = f"the response is {status}: the batch ended before it was finished"
        raw = response.error or {"status": response.status}
        return Refusal(ResultError(type=kind, message=message, retryable=True, code=status, raw=raw), ended)
    if status == "failed" or (says_something(response.error) and not response.output):
        return read_error(response.error or "the model failed to respond", None, response.error, _FAILED)
    return None


def _finish_reason(response: _Response, declined: str | None, calls: list[dict[str, Any]]) -> FinishReason:
    if _status(response) == "incomplete":
        return _INCOMPLETE.get(_incomplete_reason(response) or "", FinishReason.OTHER)
    if declined:
        return FinishReason.REFUSAL
    return FinishReason.TOOL_CALLS if calls else FinishReason.STOP


def _status(response: _Response) -> str:
    return (response.status or "").lower()


def _incomplete_reason(response: _Response) -> str | None:
    return response.incomplete_details.reason if response.incomplete_details else None
