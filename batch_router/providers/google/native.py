"""Rows of Gemini's batch files, sent as they stand."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ...core import Endpoint
from ...core.native import NativeRow, with_member

_PREFIX = "models/"


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: Annotated[str, Meta(min_length=1, max_length=512)]
    request: msgspec.Raw


class _Request(msgspec.Struct, gc=False):
    """All that is read of the request: which model, and whether it is one of embeddings."""

    model: str | None = None
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _WireRow(msgspec.Struct, gc=False):
    key: str
    request: msgspec.Raw


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_request = msgspec.json.Decoder(_Request).decode


class GeminiRows:
    """See `NativeFormat`."""

    form = '{"key", "request"}'
    body = "request"

    def read(self, line: bytes, endpoint: Endpoint) -> NativeRow:
        """See `NativeFormat.read`."""
        row = _decode_row(line)
        request = _decode_request(row.request)
        model = request.model.removeprefix(_PREFIX) if request.model is not None else None
        endpoint = Endpoint.CHAT if request.content is msgspec.UNSET else Endpoint.EMBEDDINGS
        return NativeRow(row.key, model, endpoint, row.request)

    def with_model(self, row: NativeRow, model: str) -> msgspec.Raw:
        """See `NativeFormat.with_model`: the job names the model, and a row must not name another one."""
        if row.model is None:
            return row.body
        return with_member(row.body, "model", _PREFIX + model.removeprefix(_PREFIX))

    def frame(self, row: NativeRow, row_id: str) -> _WireRow:
        """See `NativeFormat.frame`."""
        return _WireRow(row_id, row.body)
