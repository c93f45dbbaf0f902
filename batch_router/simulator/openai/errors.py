"""OpenAI's errors."""

from typing import Any

from ..account import ApiError


def api_error(status: int, message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """An error for a wrong request."""
    return ApiError(status, error_body("invalid_request_error", message, code=code, param=param))


def error_body(kind: str, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The body of an error; all four keys are always present."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
