"""Rows without an answer to results: the codes of google.rpc, HTTP statuses, and their words."""

from typing import Any

import msgspec

from ...core import ErrorType, ResultError, ResultStatus, UnifiedResult
from .._rows.shapes import count_of, fit, says_something

#: The names of google.rpc.Code -> what they mean, and whether another try may help
_WORDS: dict[str, tuple[ErrorType, bool]] = {
    "CANCELLED": (ErrorType.CANCELLED, True),
    "UNKNOWN": (ErrorType.SERVER, True),
    "INVALID_ARGUMENT": (ErrorType.INVALID_REQUEST, False),
    "DEADLINE_EXCEEDED": (ErrorType.TIMEOUT, True),
    "NOT_FOUND": (ErrorType.NOT_FOUND, False),
    "ALREADY_EXISTS": (ErrorType.INVALID_REQUEST, False),
    "PERMISSION_DENIED": (ErrorType.PERMISSION, False),
    "RESOURCE_EXHAUSTED": (ErrorType.RATE_LIMIT, True),
    "FAILED_PRECONDITION": (ErrorType.INVALID_REQUEST, False),
    "ABORTED": (ErrorType.SERVER, True),
    "OUT_OF_RANGE": (ErrorType.INVALID_REQUEST, False),
    "UNIMPLEMENTED": (ErrorType.INVALID_REQUEST, False),
    "INTERNAL": (ErrorType.SERVER, True),
    "UNAVAILABLE": (ErrorType.SERVER, True),
    "DATA_LOSS": (ErrorType.SERVER, True),
    "UNAUTHENTICATED": (ErrorType.AUTHENTICATION, False),
}
# They are in the order of their numbers, from 1 on.
_NUMBERS = dict(enumerate(_WORDS, start=1))

#: What the same codes are as HTTP statuses, which some rows have in the place of numbers
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINE = ("OK", "SUCCESS", "SUCCEEDED", "DONE")


class _Error(msgspec.Struct, gc=False):
    code: Any = None
    message: Any = None
    status: Any = None


def is_error(error: Any) -> bool:
    """Whether the value says that something went wrong."""
    inner = _read(error)
    if count_of(inner.code) == 0 and inner.code is not None:
        return False
    return says_something(error) and str(inner.status).upper() not in _FINE


def decode_error(custom_id: str, error: Any, response: Any) -> UnifiedResult:
    """The result of a row without an answer."""
    inner = _read(error)
    word = _word(inner)
    kind, retryable = _WORDS.get(word or "", (ErrorType.OTHER, False))
    return UnifiedResult(
        custom_id=custom_id,
        # What was not reached when a job was cancelled has this code, in a job that says that it succeeded.
        status=ResultStatus.CANCELLED if kind is ErrorType.CANCELLED else ResultStatus.ERRORED,
        error=ResultError(
            type=kind,
            message=str(inner.message or _named(inner.code, word)),
            retryable=retryable,
            code=word,
            raw=error,
        ),
        response=response,
    )


def _read(error: Any) -> _Error:
    """An error, which is an object, or a text that may be a word of ours."""
    if isinstance(error, str):
        return _Error(message=error, status=error)
    return fit(error, _Error)


def _named(code: Any, word: str | None) -> str:
    if word is None:
        return "the provider gave neither an answer nor a reason"
    return word if code is None else f"google.rpc code {code}: {word}"


def _word(error: _Error) -> str | None:
    """The one of our words for it; where there is none, the provider's code."""
    if isinstance(error.status, str) and error.status.upper() in _WORDS:
        return error.status.upper()
    number = count_of(error.code)
    if number is None:
        return error.code if isinstance(error.code, str) and error.code else None
    word = _NUMBERS.get(number) or _STATUSES.get(number)
    return word or ("INTERNAL" if number > 500 else str(number))
