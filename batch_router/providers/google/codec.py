"""Rows of a Gemini batch file. `requests.py` writes the requests, `answers.py` reads what comes back."""

import msgspec

from ...core import Endpoint, UnifiedRequest
from .answers import decode, read_row_id
from .requests import ContentRequest, encode_embedding, encode_request

__all__ = ["WireRow", "decode", "encode", "read_row_id"]


class WireRow(msgspec.Struct, gc=False):
    """A line of the input file."""

    key: str
    request: ContentRequest | dict[str, object]


def encode(request: UnifiedRequest, row_id: str) -> WireRow:
    """See `Codec.encode`."""
    encode_it = encode_embedding if request.endpoint is Endpoint.EMBEDDINGS else encode_request
    return WireRow(row_id, encode_it(request))
