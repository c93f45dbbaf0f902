"""Rows of Gemini's batch files, sent as they stand."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ...core import Endpoint, OutputSchema
from ...core.native import NativeRow, member_of, read_body, with_member
from ...exceptions import ValidationError
from .openapi import json_schema
from .schema import SCHEMAS

_PREFIX = "models/"


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: Annotated[str, Meta(min_length=1, max_length=512)]
    request: msgspec.Raw


class _Request(msgspec.Struct, gc=False):
    """All that is read of the request: which model, and whether it is one of embeddings."""

    model: str | None = None
    content: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    camel: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="generationConfig", default=msgspec.UNSET)
    snake: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="generation_config", default=msgspec.UNSET)


class _Asked(msgspec.Struct, gc=False):
    """What a `generationConfig` says about the form of the answer: the service reads both spellings of a name."""

    camel: dict[str, object] | None = msgspec.field(name="responseSchema", default=None)
    snake: dict[str, object] | None = msgspec.field(name="response_schema", default=None)
    json_camel: dict[str, object] | None = msgspec.field(name="responseJsonSchema", default=None)
    json_snake: dict[str, object] | None = msgspec.field(name="response_json_schema", default=None)
    json_old: dict[str, object] | None = msgspec.field(name="_responseJsonSchema", default=None)
    mime_camel: str | None = msgspec.field(name="responseMimeType", default=None)
    mime_snake: str | None = msgspec.field(name="response_mime_type", default=None)

    @property
    def mime_type(self) -> str | None:
        return self.mime_camel or self.mime_snake

    def schema(self) -> dict[str, object] | None:
        """The JSON schema of the answer."""
        openapi = self.camel or self.snake
        return json_schema(openapi) if openapi else self.json_camel or self.json_snake or self.json_old


class _WireRow(msgspec.Struct, gc=False):
    key: str
    request: msgspec.Raw


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_config = msgspec.json.Decoder(_Asked).decode
_CONFIG = ("generationConfig", "generation_config")
_JSON = "application/json"


class GeminiRows:
    """See `NativeFormat`."""

    form = '{"key", "request"}'
    body = "request"

    def read(self, line: bytes, endpoint: Endpoint) -> NativeRow:
        """See `NativeFormat.read`."""
        row = _decode_row(line)
        request = read_body(_decode_request, row.request, self.body)
        model = request.model.removeprefix(_PREFIX) if request.model else None
        endpoint = Endpoint.CHAT if request.content is msgspec.UNSET else Endpoint.EMBEDDINGS
        says_form = request.camel is not msgspec.UNSET or request.snake is not msgspec.UNSET
        return NativeRow(row.key, model, endpoint, row.request, says_form=says_form)

    def with_model(self, row: NativeRow, model: str) -> msgspec.Raw:
        """See `NativeFormat.with_model`: the job names the model, and a row must not name another one."""
        if row.model is None:
            return row.body
        return with_member(row.body, "model", model if "/" in model else _PREFIX + model)

    def with_output_schema(self, row: NativeRow, schema: OutputSchema) -> msgspec.Raw | None:
        """See `NativeFormat.with_output_schema`."""
        if row.endpoint is not Endpoint.CHAT:
            raise ValidationError("output_schema: rows of embeddings have none; leave it out")
        name = next((name for name in _CONFIG if member_of(row.body, name) is not None), _CONFIG[0])
        config = member_of(row.body, name) or msgspec.Raw(b"{}")
        try:
            asked = _decode_config(config)
        except msgspec.MsgspecError:  # it has one that we do not understand
            return None
        if asked.schema() is not None or asked.mime_type not in (None, _JSON):
            return None
        form = SCHEMAS.output.of(schema)
        config = with_member(config, form.member, form.value)
        if asked.mime_type is None:
            config = with_member(config, "responseMimeType", _JSON)
        return with_member(row.body, name, config)

    def asked_schema(self, row: NativeRow) -> dict[str, object] | None:
        """See `NativeFormat.asked_schema`."""
        try:
            config = next((found for name in _CONFIG if (found := member_of(row.body, name)) is not None), None)
            asked = _decode_config(config) if config is not None else _Asked()
        except msgspec.MsgspecError:  # not ours to understand
            return None
        return asked.schema() or ({} if asked.mime_type == _JSON else None)

    def frame(self, row: NativeRow, row_id: str) -> _WireRow:
        """See `NativeFormat.frame`."""
        return _WireRow(row_id, row.body)
