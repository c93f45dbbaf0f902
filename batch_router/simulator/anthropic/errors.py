"""Anthropic's errors."""

from typing import Any

from ..account import ApiError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def api_error(status: int, message: str, headers: dict[str, str] | None = None) -> ApiError:
    """An error for a wrong request."""
    return ApiError(status, error_body(status, message), headers)


def error_body(status: int, message: str) -> dict[str, Any]:
    """The body of an error."""
    usual = "api_error" if status >= 500 else "invalid_request_error"
    return {"type": "error", "error": {"type": _TYPES.get(status, usual), "message": message}, "request_id": None}
