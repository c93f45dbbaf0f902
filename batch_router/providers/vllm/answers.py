"""The answers as `vllm run-batch` writes them."""

from typing import Any

from ...core import UnifiedResult
from .._openai_dialect.answers.chat import decode_completion
from .._openai_dialect.answers.embeddings import decode_embedding
from .._openai_dialect.answers.errors import decode_error
from .._openai_dialect.answers.rows import decode_row


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`."""
    return decode_row(line, custom_id, _decode_row)


def _decode_row(row: dict[str, Any], custom_id: str) -> UnifiedResult:
    """Any answer. A refused row has no body, and its `error` is `{"error": {...}}` or a bare text."""
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    status, body, request_id = response.get("status_code"), response.get("body"), response.get("request_id")
    request_id = request_id if isinstance(request_id, str) else None
    if status == 200 and row.get("error") is None and isinstance(body, dict):
        decode_body = decode_embedding if body.get("object") == "list" else decode_completion
        return decode_body(custom_id, body, request_id)
    error = row.get("error")
    if isinstance(error, dict) and "error" in error:
        error = error["error"]
    code = status if isinstance(status, int) else 0
    if code in (0, 200) and isinstance(error, dict) and isinstance(error.get("code"), int):
        code = error["code"]
    return decode_error(custom_id, code, error or body, request_id, body)
