"""Rows of a Message Batch. `requests.py` turns a request into `params`, `answers.py` reads what comes back."""

import msgspec

from ...core import UnifiedRequest
from .answers import decode, read_row_id
from .requests import Params, encode_params

__all__ = ["WireRow", "decode", "encode", "read_row_id"]


class WireRow(msgspec.Struct, gc=False):
    """One of the batch's requests."""

    custom_id: str
    params: Params | dict[str, object]


def encode(request: UnifiedRequest, row_id: str) -> WireRow:
    """See `Codec.encode`."""
    return WireRow(row_id, encode_params(request))
