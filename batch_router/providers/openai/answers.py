"""The answers in the output and error files of an OpenAI batch."""

from typing import Any

from ...core import ErrorType, ResultError, ResultStatus, UnifiedResult
from .._openai_dialect.answers.chat import decode_completion
from .._openai_dialect.answers.embeddings import decode_embedding
from .._openai_dialect.answers.errors import decode_error
from .._openai_dialect.answers.rows import decode_row
from .items import decode_response

# The codes of rows that were never executed, and have no response.
_UNEXECUTED = {
    "batch_expired": (ResultStatus.EXPIRED, ErrorType.EXPIRED),
    "batch_cancelled": (ResultStatus.CANCELLED, ErrorType.CANCELLED),
    "request_timeout": (ResultStatus.ERRORED, ErrorType.TIMEOUT),
}


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`."""
    return decode_row(line, custom_id, _decode_row)


#: What a body calls itself -> what it is read as; all else is a chat completion.
_DECODERS = {"response": decode_response, "list": decode_embedding}


def _decode_row(row: dict[str, Any], custom_id: str) -> UnifiedResult:
    """Any answer.

    Three shapes: an answer; a refused row, whose error is in `response.body.error` while `error` is null; and a row
    that never ran, which has an `error` and no response.
    """
    response = row.get("response")
    if not isinstance(response, dict):
        return _unexecuted(custom_id, row.get("error"))
    status = response.get("status_code")
    body = response.get("body")
    request_id = response.get("request_id")
    request_id = request_id if isinstance(request_id, str) else None
    if status == 200 and row.get("error") is None and isinstance(body, dict):
        return _DECODERS.get(str(body.get("object")), decode_completion)(custom_id, body, request_id)
    error = body.get("error") if isinstance(body, dict) else None
    code = status if isinstance(status, int) else 0
    return decode_error(custom_id, code, error or row.get("error") or body, request_id, body)


def _unexecuted(custom_id: str, error: Any) -> UnifiedResult:
    inner = error if isinstance(error, dict) else {"message": error}
    code = inner.get("code")
    status, kind = _UNEXECUTED.get(str(code), (ResultStatus.ERRORED, ErrorType.OTHER))
    return UnifiedResult(
        custom_id=custom_id,
        status=status,
        error=ResultError(
            type=kind,
            message=str(inner.get("message") or code or "the provider gave neither an answer nor a reason"),
            retryable=kind is not ErrorType.OTHER,
            raw=error,
        ),
    )
