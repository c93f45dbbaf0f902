"""Rows of Anthropic's own batches, sent as they stand."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ...core import Endpoint
from ...core.native import NativeRow, with_member
from ...exceptions import ValidationError


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    params: msgspec.Raw


class _Params(msgspec.Struct, gc=False):
    """All that is read of the params."""

    model: str | None = None
    stream: bool | None = None


class _WireRow(msgspec.Struct, gc=False):
    custom_id: str
    params: msgspec.Raw


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_params = msgspec.json.Decoder(_Params).decode


class AnthropicRows:
    """See `NativeFormat`."""

    form = '{"custom_id", "params"}'
    body = "params"

    def read(self, line: bytes, endpoint: Endpoint) -> NativeRow:  # noqa: ARG002 - there is one
        """See `NativeFormat.read`."""
        row = _decode_row(line)
        params = _decode_params(row.params)
        if params.stream:
            raise ValidationError("params.stream: a batch has no streams; leave it out")
        return NativeRow(row.custom_id, params.model, Endpoint.CHAT, row.params)

    def with_model(self, row: NativeRow, model: str) -> msgspec.Raw:
        """See `NativeFormat.with_model`."""
        return with_member(row.body, "model", model)

    def frame(self, row: NativeRow, row_id: str) -> _WireRow:
        """See `NativeFormat.frame`."""
        return _WireRow(row_id, row.body)
