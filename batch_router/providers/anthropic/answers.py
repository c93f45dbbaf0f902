"""The result lines of a Message Batch."""

import re
from typing import Any

import msgspec

from ...core import ErrorType, ResultError, ResultStatus, UnifiedResult
from .._rows.ids import RowIds
from .._rows.lines import decode_line
from .._rows.shapes import NULL, Shape, fit, is_object
from .message import decode_message

# How the service begins each line. An id without escapes is read without parsing the row.
_BEGINNING = re.compile(rb'\{"custom_id": ?"([^"\\]*)"')

read_row_id = RowIds("custom_id", _BEGINNING.match).read

#: The type of a result without an answer -> how the row ended, and the kind of its error
_UNANSWERED = {
    "canceled": (ResultStatus.CANCELLED, ErrorType.CANCELLED, "cancelled before it was answered"),
    "cancelled": (ResultStatus.CANCELLED, ErrorType.CANCELLED, "cancelled before it was answered"),
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


class _Result(msgspec.Struct, gc=False):
    type: str | None = None
    message: msgspec.Raw = NULL


class _Row(msgspec.Struct, gc=False):
    result: _Result | None = None


class _Error(msgspec.Struct, gc=False):
    """An error in an error, with the id of the call beside it, or one alone."""

    error: Any = None
    request_id: str | None = None
    type: str | None = None
    message: Any = None


class _Unanswered(msgspec.Struct, gc=False):
    result: Any = None


_rows = Shape(_Row)
_unanswered = Shape(_Unanswered)


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`."""
    return decode_line(line, custom_id, _read)


def _read(line: bytes, custom_id: str) -> UnifiedResult:
    """Any result line. One of an unknown type has succeeded if it has a message."""
    result = _rows.read(line).result or _Result()
    kind = (result.type or "").lower()
    if is_object(result.message) and kind not in _UNANSWERED and kind != "errored":
        return decode_message(custom_id, result.message)
    raw = _unanswered.read(line).result
    if kind not in _UNANSWERED:
        return _decode_error(custom_id, raw)
    status, error_type, reason = _UNANSWERED[kind]
    error = ResultError(type=error_type, message=reason, retryable=True, code=kind, raw=raw)
    return UnifiedResult(custom_id=custom_id, status=status, error=error)


def _decode_error(custom_id: str, result: Any) -> UnifiedResult:
    """The result of a row that was refused."""
    raw = (result.get("error") if isinstance(result, dict) else None) or result or None
    outer = fit(raw, _Error)
    inner = fit(raw["error"], _Error) if isinstance(raw, dict) and "error" in raw else outer
    text = next((each for each in (raw, outer.error) if isinstance(each, str)), None)
    code = inner.type or (text if text in _ERRORS else None)
    kind, retryable = _ERRORS.get(code or "", (ErrorType.OTHER, False))
    message = inner.message or text or code or "the provider gave neither an answer nor a reason"
    error = ResultError(type=kind, message=str(message), retryable=retryable, code=code, raw=raw)
    return UnifiedResult(custom_id=custom_id, status=ResultStatus.ERRORED, request_id=outer.request_id, error=error)
