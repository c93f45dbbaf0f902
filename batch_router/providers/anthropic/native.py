"""Rows of Anthropic's own batches, sent as they stand."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ...core import Endpoint, OutputSchema
from ...core.native import NativeRow, read_body, with_inner_member, with_member
from ...exceptions import ValidationError
from .schema import SCHEMAS


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    params: msgspec.Raw


class _Params(msgspec.Struct, gc=False):
    """All that is read of the params."""

    model: str | None = None
    stream: bool | None = None
    output_config: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Format(msgspec.Struct, gc=False):
    schema: dict[str, object] | None = None


class _OutputConfig(msgspec.Struct, gc=False):
    format: _Format | None = None


class _Asked(msgspec.Struct, gc=False):
    """What the params say about the form of the answer."""

    output_config: _OutputConfig | None = None


class _WireRow(msgspec.Struct, gc=False):
    custom_id: str
    params: msgspec.Raw


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_params = msgspec.json.Decoder(_Params).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode


class AnthropicRows:
    """See `NativeFormat`."""

    form = '{"custom_id", "params"}'
    body = "params"

    def read(self, line: bytes, endpoint: Endpoint) -> NativeRow:  # noqa: ARG002 - there is one
        """See `NativeFormat.read`."""
        row = _decode_row(line)
        params = read_body(_decode_params, row.params, self.body)
        if params.stream:
            raise ValidationError("params.stream: a batch has no streams; leave it out")
        says_form = params.output_config is not msgspec.UNSET
        return NativeRow(row.custom_id, params.model or None, Endpoint.CHAT, row.params, says_form=says_form)

    def with_model(self, row: NativeRow, model: str) -> msgspec.Raw:
        """See `NativeFormat.with_model`."""
        return with_member(row.body, "model", model)

    def with_output_schema(self, row: NativeRow, schema: OutputSchema) -> msgspec.Raw | None:
        """See `NativeFormat.with_output_schema`."""
        form = {"type": "json_schema", "schema": SCHEMAS.output.of(schema).value}
        return with_inner_member(row.body, "output_config", "format", form)

    def asked_schema(self, row: NativeRow) -> dict[str, object] | None:
        """See `NativeFormat.asked_schema`."""
        try:
            asked = _decode_asked(row.body).output_config
        except msgspec.MsgspecError:  # not ours to understand
            return None
        return asked.format.schema if asked and asked.format else None

    def frame(self, row: NativeRow, row_id: str) -> _WireRow:
        """See `NativeFormat.frame`."""
        return _WireRow(row_id, row.body)
