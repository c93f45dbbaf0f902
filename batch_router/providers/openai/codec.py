"""Rows of an OpenAI batch file, and the answers in its output and error files."""

import re
from typing import Any, Literal

import msgspec

from ...core import Endpoint, ErrorType, ResultError, ResultStatus, UnifiedRequest, UnifiedResult
from ...jsonl import decode_leniently, is_clean
from ..chat import (
    CHAT_URL,
    ChatBody,
    decode_completion,
    decode_error,
    encode_body,
    merge_body,
)
from .embeddings import decode_embedding, encode_embedding_body
from .responses import decode_response, encode_response_body

URLS: dict[Endpoint, Any] = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.RESPONSES: "/v1/responses",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
}


class WireRow(msgspec.Struct, gc=False):
    """A line of the input file."""

    custom_id: str
    body: ChatBody | dict[str, Any]
    method: Literal["POST"] = "POST"
    url: str = CHAT_URL


class _RowId(msgspec.Struct):
    custom_id: str


_decode_row_id = msgspec.json.Decoder(_RowId).decode

# How the service begins each line; an id that needs no unescaping can be read without parsing the row.
_BEGINNING = re.compile(rb'\{"id": ?"[^"\\]*", ?"custom_id": ?"([^"\\]*)"')


class _Response(msgspec.Struct):
    status_code: int
    request_id: str | None
    body: msgspec.Raw


class _Answer(msgspec.Struct):
    custom_id: str
    response: _Response
    error: None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode

# Rows that were never executed carry a code of their own instead of a response.
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


def read_row_id(line: bytes) -> str | None:
    """See `Codec.read_row_id`."""
    if beginning := _BEGINNING.match(line):
        return beginning[1].decode(errors="replace")
    try:
        return _decode_row_id(line).custom_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        row, _ = decode_leniently(line)
    except ValueError:
        return None
    row_id = row.get("custom_id") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, str) else None


def decode(line: bytes) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`. The usual answer is read by its known fields; anything else is taken apart leniently."""
    try:
        if is_clean(line):
            answer = _decode_answer(line)
            if answer.response.status_code == 200:
                return decode_completion(answer.custom_id, answer.response.body, answer.response.request_id), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    row, repaired = decode_leniently(line)
    return _decode_row(row if isinstance(row, dict) else {}), repaired


#: What a body calls itself -> what it is read as; all else is a chat completion.
_DECODERS = {"response": decode_response, "list": decode_embedding}


def _decode_row(row: dict[str, Any]) -> UnifiedResult:
    """Any answer.

    Three shapes: an answer; a refused row, whose error is in `response.body.error` while `error` is null; and a row
    that never ran, which has an `error` and no response.
    """
    row_id = str(row.get("custom_id"))
    response = row.get("response")
    if not isinstance(response, dict):
        return _unexecuted(row_id, row.get("error"))
    status = response.get("status_code")
    body = response.get("body")
    request_id = response.get("request_id")
    request_id = request_id if isinstance(request_id, str) else None
    if status == 200 and row.get("error") is None and isinstance(body, dict):
        return _DECODERS.get(str(body.get("object")), decode_completion)(row_id, body, request_id)
    error = body.get("error") if isinstance(body, dict) else None
    code = status if isinstance(status, int) else 0
    return decode_error(row_id, code, error or row.get("error") or body, request_id, body)


def _unexecuted(row_id: str, error: Any) -> UnifiedResult:
    inner = error if isinstance(error, dict) else {"message": error}
    code = inner.get("code")
    status, kind = _UNEXECUTED.get(str(code), (ResultStatus.ERRORED, ErrorType.OTHER))
    return UnifiedResult(
        custom_id=row_id,
        status=status,
        error=ResultError(
            type=kind,
            message=str(inner.get("message") or code or "the provider gave neither an answer nor a reason"),
            retryable=kind is not ErrorType.OTHER,
            raw=error,
        ),
    )
