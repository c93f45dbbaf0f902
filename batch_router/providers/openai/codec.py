"""Rows of an OpenAI batch file, and the answers in its output and error files."""

from typing import Any

from ...core import Endpoint, ErrorType, ResultError, ResultStatus, UnifiedRequest, UnifiedResult
from .._openai_dialect.chat import decode_completion, decode_error, encode_body, merge_body
from .._openai_dialect.embeddings import decode_embedding, encode_embedding_body
from .._openai_dialect.rows import URLS, WireRow, decode_row, read_row_id
from .responses import decode_response, encode_response_body

__all__ = ["decode", "encode", "read_row_id"]

# The codes of rows that were never executed, and have no response.
_UNEXECUTED = {
    "batch_expired": (ResultStatus.EXPIRED, ErrorType.EXPIRED),
    "batch_cancelled": (ResultStatus.CANCELLED, ErrorType.CANCELLED),
    "request_timeout": (ResultStatus.ERRORED, ErrorType.TIMEOUT),
}


def encode(request: UnifiedRequest, row_id: str) -> WireRow:
    """See `Codec.encode`. `max_tokens` travels as `max_completion_tokens`: reasoning models refuse the old name."""
    if request.endpoint is not None and request.endpoint is not Endpoint.CHAT:
        return _encode_other(request, request.endpoint, row_id)
    body = encode_body(request)
    if request.generation_config is not None:
        body.max_completion_tokens = request.generation_config.max_tokens
    return WireRow(row_id, merge_body(body, request.provider_kwargs) if request.provider_kwargs else body)


def _encode_other(request: UnifiedRequest, endpoint: Endpoint, row_id: str) -> WireRow:
    encode_other = encode_response_body if endpoint is Endpoint.RESPONSES else encode_embedding_body
    return WireRow(row_id, encode_other(request) | request.provider_kwargs, url=URLS[endpoint])


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
