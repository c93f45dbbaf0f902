"""Rows for vLLM, and the answers as `vllm run-batch` writes them."""

from typing import Any

from ...core import Endpoint, UnifiedRequest, UnifiedResult
from .._openai_dialect.chat import decode_completion, decode_error, encode_body, merge_body
from .._openai_dialect.embeddings import decode_embedding, encode_embedding_body
from .._openai_dialect.rows import URLS, WireRow, decode_row, read_row_id

__all__ = ["decode", "encode", "read_row_id"]


def encode(request: UnifiedRequest, row_id: str) -> WireRow:
    """See `Codec.encode`. vLLM takes `max_completion_tokens` too, and beyond OpenAI's parameters `top_k`."""
    if request.endpoint is Endpoint.EMBEDDINGS:
        body = encode_embedding_body(request) | request.provider_kwargs
        return WireRow(row_id, body, url=URLS[Endpoint.EMBEDDINGS])
    chat = encode_body(request)
    if request.generation_config is not None:
        chat.max_completion_tokens = request.generation_config.max_tokens
        chat.top_k = request.generation_config.top_k
    return WireRow(row_id, merge_body(chat, request.provider_kwargs) if request.provider_kwargs else chat)


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
