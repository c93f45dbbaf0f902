"""Rows that were refused with an HTTP status to results."""

from typing import Any

from ....core import ErrorType, ResultError, ResultStatus, UnifiedResult

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
