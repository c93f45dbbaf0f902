"""Why a row has no answer: the service's HTTP status and words, in ours."""

from typing import Any, NamedTuple

import msgspec

from ....core import ErrorType, ResultError, ResultStatus
from ..._rows.shapes import count_of, fit, says_something


class Meaning(NamedTuple):
    """What an error means, and whether another try may help."""

    type: ErrorType
    retryable: bool
    status: ResultStatus = ResultStatus.ERRORED


_UNKNOWN = Meaning(ErrorType.OTHER, retryable=False)
_INVALID = Meaning(ErrorType.INVALID_REQUEST, retryable=False)
_RATE_LIMIT = Meaning(ErrorType.RATE_LIMIT, retryable=True)
_QUOTA = Meaning(ErrorType.QUOTA, retryable=False)
_TIMEOUT = Meaning(ErrorType.TIMEOUT, retryable=True)
_SERVER = Meaning(ErrorType.SERVER, retryable=True)
_AUTHENTICATION = Meaning(ErrorType.AUTHENTICATION, retryable=False)
_CANCELLED = Meaning(ErrorType.CANCELLED, retryable=True, status=ResultStatus.CANCELLED)
_NOT_FOUND = Meaning(ErrorType.NOT_FOUND, retryable=False)

_STATUSES: dict[int, Meaning] = {
    400: _INVALID,
    401: _AUTHENTICATION,
    402: _QUOTA,
    403: Meaning(ErrorType.PERMISSION, retryable=False),
    404: _NOT_FOUND,
    408: _TIMEOUT,
    413: _INVALID,
    422: _INVALID,
    429: _RATE_LIMIT,
    500: _SERVER,  # and all above
}

#: These words say more than the HTTP status beside them.
_STRONG: dict[str, Meaning] = {
    "insufficient_quota": _QUOTA,
    "batch_expired": Meaning(ErrorType.EXPIRED, retryable=True, status=ResultStatus.EXPIRED),
    "batch_cancelled": _CANCELLED,
    "batch_canceled": _CANCELLED,
}

_WORDS: dict[str, Meaning] = {
    "request_timeout": _TIMEOUT,
    "vector_store_timeout": _TIMEOUT,
    "timeout": _TIMEOUT,
    "rate_limit_exceeded": _RATE_LIMIT,
    "rate_limit_error": _RATE_LIMIT,
    "server_error": _SERVER,
    "internal_error": _SERVER,
    "internal_server_error": _SERVER,
    "service_unavailable": _SERVER,
    "overloaded": _SERVER,
    "engine_overloaded": _SERVER,
    "billing_hard_limit_reached": _QUOTA,
    "invalid_api_key": _AUTHENTICATION,
    "model_not_found": _NOT_FOUND,
    "context_length_exceeded": _INVALID,
    # of `/v1/responses`: the SDK's `ResponseError.code`
    "data_residency_mismatch": _INVALID,
    "bio_policy": _INVALID,
    "misalignment_policy_violation": _INVALID,
    "unsupported_image_media_type": _INVALID,
    "empty_image_file": _INVALID,
    "failed_to_download_image": _INVALID,
}
_INVALID_PREFIXES = ("invalid_", "image_")


class _Error(msgspec.Struct, gc=False):
    message: Any = None
    code: Any = None
    type: Any = None


class Refusal(NamedTuple):
    """Why a row has no answer, and how it ended."""

    error: ResultError
    status: ResultStatus


def read_error(error: Any, status_code: int | None, raw: Any, otherwise: Meaning = _UNKNOWN) -> Refusal:
    """What an error says.

    Args:
        error: as the service wrote it: an object, a text, or nothing.
        status_code: the HTTP status of the row, 0 if the service got no answer; None: the row has none.
        raw: what the result keeps of it.
        otherwise: the meaning of an error whose words are not known.
    """
    # vLLM and some gateways have the error in an error.
    if isinstance(error, dict) and says_something(error.get("error")):
        error = error["error"]
    inner = fit(error, _Error) if isinstance(error, dict) else _Error(message=error)
    if status_code in (None, 0, 200):
        status_code = count_of(inner.code) or status_code
    words = [word for each in (inner.code, inner.type) if (word := _word(each))]
    if not words and isinstance(inner.message, str) and _by_word(inner.message.lower()):
        words = [inner.message]
    meaning = _meaning_of([word.lower() for word in words], status_code) or otherwise
    shown = ResultError(
        type=meaning.type,
        message=str(inner.message or (words[0] if words else _no_reason(status_code))),
        retryable=meaning.retryable,
        code=words[0] if words else _word(status_code),
        raw=raw,
    )
    return Refusal(shown, meaning.status)


def _word(value: Any) -> str | None:
    """A code as a text. The statuses 0 and 200 are none."""
    if isinstance(value, str):
        return value or None
    number = count_of(value)
    return str(number) if number and number != 200 else None


def _no_reason(status_code: int | None) -> str:
    nothing = "the provider gave neither an answer nor a reason"
    return nothing if not status_code else f"HTTP {status_code}"


def _meaning_of(words: list[str], status_code: int | None) -> Meaning | None:
    strong = next((_STRONG[word] for word in words if word in _STRONG), None)
    by_word = next(filter(None, map(_by_word, words)), None)
    return strong or _STATUSES.get(min(status_code or 0, 500)) or by_word or (_SERVER if status_code == 0 else None)


def _by_word(word: str) -> Meaning | None:
    return _STRONG.get(word) or _WORDS.get(word) or (_INVALID if word.startswith(_INVALID_PREFIXES) else None)
