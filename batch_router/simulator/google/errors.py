"""The Gemini Developer API's errors."""

from typing import Any

from ..account import ApiError

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def api_error(status: int, message: str, *details: dict[str, Any]) -> ApiError:
    """An error for a wrong request."""
    return ApiError(status, error_body(status, message, *details))


def error_body(status: int, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """The body of an error; `details` is left out when there are none."""
    error: dict[str, Any] = {"code": status, "message": message, "status": _STATUSES.get(status, "UNKNOWN")}
    return {"error": error | ({"details": list(details)} if details else {})}
