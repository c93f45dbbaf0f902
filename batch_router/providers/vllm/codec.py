"""Rows for vLLM. The answers are read in `_openai_dialect/answers`."""

from ...core import Endpoint, UnifiedRequest
from .._openai_dialect.answers.rows import decode, read_row_id
from .._openai_dialect.chat import encode_body, merge_body
from .._openai_dialect.embeddings import encode_embedding_body
from .._openai_dialect.rows import URLS, WireRow
from .._openai_dialect.schema import PLAIN

__all__ = ["decode", "encode", "read_row_id"]


def encode(request: UnifiedRequest, row_id: str) -> WireRow:
    """See `Codec.encode`. vLLM takes `max_completion_tokens` too, and beyond OpenAI's parameters `top_k`."""
    if request.endpoint is Endpoint.EMBEDDINGS:
        body = encode_embedding_body(request) | request.provider_kwargs
        return WireRow(row_id, body, url=URLS[Endpoint.EMBEDDINGS])
    chat = encode_body(request, PLAIN)
    if request.generation_config is not None:
        chat.max_completion_tokens = request.generation_config.max_tokens
        chat.top_k = request.generation_config.top_k
    return WireRow(row_id, merge_body(chat, request.provider_kwargs) if request.provider_kwargs else chat)
