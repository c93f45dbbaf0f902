"""Rows of an OpenAI batch file. The answers are read in `_openai_dialect/answers`."""

from ...core import Endpoint, UnifiedRequest
from .._openai_dialect.answers.rows import decode, read_row_id
from .._openai_dialect.chat import encode_body, merge_body
from .._openai_dialect.embeddings import encode_embedding_body
from .._openai_dialect.rows import URLS, WireRow
from .._openai_dialect.schema import STRICT
from .responses import encode_response_body

__all__ = ["decode", "encode", "read_row_id"]


def encode(request: UnifiedRequest, row_id: str) -> WireRow:
    """See `Codec.encode`. `max_tokens` travels as `max_completion_tokens`: reasoning models refuse the old name."""
    if request.endpoint is not None and request.endpoint is not Endpoint.CHAT:
        return _encode_other(request, request.endpoint, row_id)
    body = encode_body(request, STRICT)
    if request.generation_config is not None:
        body.max_completion_tokens = request.generation_config.max_tokens
    return WireRow(row_id, merge_body(body, request.provider_kwargs) if request.provider_kwargs else body)


def _encode_other(request: UnifiedRequest, endpoint: Endpoint, row_id: str) -> WireRow:
    encode_other = encode_response_body if endpoint is Endpoint.RESPONSES else encode_embedding_body
    return WireRow(row_id, encode_other(request) | request.provider_kwargs, url=URLS[endpoint])
