"""Rows of OpenAI's batch files, sent as they stand: to OpenAI itself, and to what speaks its dialect."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ...core import Endpoint, OutputSchema
from ...core.native import NativeRow, member_of, read_body, with_inner_member, with_member
from ...exceptions import ValidationError
from ...security.printable import printable
from .._schemas.forms import Schemas
from .rows import URLS, NativeWireRow
from .schema import flat_format

_SHOWN = 200
_LONGEST_URL = 2000
_POST = "POST"
# Without a model the service takes one of its own; in a stored prompt (`prompt`) there is one.
_CHOOSES_MODEL = frozenset({Endpoint.MODERATIONS, Endpoint.IMAGES, Endpoint.IMAGE_EDITS, Endpoint.VIDEOS})


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    custom_id: Annotated[str, Meta(min_length=1, max_length=512)]
    body: msgspec.Raw
    url: str | None = None
    method: str | None = None


class _Body(msgspec.Struct, gc=False):
    """All that is read of a body."""

    model: str | None = None
    stream: bool | None = None
    prompt: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    response_format: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Named(msgspec.Struct, gc=False):
    schema: dict[str, object] | None = None


class _Format(_Named, gc=False):
    type: str | None = None
    json_schema: _Named | None = None


class _Text(msgspec.Struct, gc=False):
    format: _Format | None = None


class _Asked(msgspec.Struct, gc=False):
    """What a body says about the form of its answer."""

    response_format: _Format | None = None
    text: _Text | None = None


class _Inputs(msgspec.Struct, gc=False):
    input: Any = None


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_inputs = msgspec.json.Decoder(_Inputs).decode


class OpenAIRows:
    """See `NativeFormat`.

    Args:
        endpoints: those whose rows the provider takes; rows of others are translated.
        schemas: how it takes the schema of an answer.
    """

    form = '{"custom_id", "method", "url", "body"}'
    body = "body"

    def __init__(self, endpoints: Iterable[Endpoint], schemas: Schemas) -> None:
        self._endpoints = frozenset(endpoints)
        self._output = schemas.output

    def read(self, line: bytes, endpoint: Endpoint) -> NativeRow | None:
        """See `NativeFormat.read`."""
        row = _decode_row(line)
        if row.method and row.method != _POST and row.method.strip().upper() != _POST:
            raise ValidationError(f"method: must be 'POST', not {printable(str(row.method), _SHOWN)!r}")
        if row.url:
            endpoint = endpoint_of(row.url)
        if endpoint not in self._endpoints:
            return None
        body = read_body(_decode_body, row.body, self.body)
        model = body.model or None
        if body.stream:
            raise ValidationError("body.stream: a batch has no streams; leave it out")
        if endpoint is Endpoint.EMBEDDINGS:
            return NativeRow(row.custom_id, model, endpoint, row.body, inputs=_count_inputs(row.body))
        chooses = model is None and (endpoint in _CHOOSES_MODEL or body.prompt is not msgspec.UNSET)
        says_form = body.response_format is not msgspec.UNSET or body.text is not msgspec.UNSET
        return NativeRow(row.custom_id, model, endpoint, row.body, not chooses, 1, says_form)

    def with_model(self, row: NativeRow, model: str) -> msgspec.Raw:
        """See `NativeFormat.with_model`."""
        return with_member(row.body, "model", model)

    def with_output_schema(self, row: NativeRow, schema: OutputSchema) -> msgspec.Raw | None:
        """See `NativeFormat.with_output_schema`."""
        if row.endpoint is Endpoint.RESPONSES:
            return with_inner_member(row.body, "text", "format", flat_format(self._output.of(schema)))
        if row.endpoint is not Endpoint.CHAT:
            raise ValidationError(f"output_schema: rows for {row.endpoint.value!r} have none; leave it out")
        if member_of(row.body, "response_format") is not None:
            return None
        form = {"type": "json_schema", "json_schema": self._output.of(schema).value}
        return with_member(row.body, "response_format", form)

    def asked_schema(self, row: NativeRow) -> dict[str, object] | None:
        """See `NativeFormat.asked_schema`."""
        try:
            asked = _decode_asked(row.body)
        except msgspec.MsgspecError:  # not ours to understand
            return None
        form = asked.response_format or (asked.text.format if asked.text else None)
        if form is None or form.type not in ("json_schema", "json_object"):
            return None
        return form.schema or (form.json_schema.schema if form.json_schema else None) or {}

    def frame(self, row: NativeRow, row_id: str) -> NativeWireRow:
        """See `NativeFormat.frame`."""
        return NativeWireRow(row_id, row.body, url=URLS[row.endpoint])


_PATHS = {url.removeprefix("/v1"): endpoint for endpoint, url in URLS.items()}


@lru_cache(1000)
def endpoint_of(url: str) -> Endpoint:
    """What a row's `url` asks for: a path, with or without `/v1`, alone or at the end of a whole URL.

    Raises:
        ValidationError: it is none that is known.
    """
    try:
        path = urlsplit(url[:_LONGEST_URL].strip()).path.rstrip("/").lower()
    except ValueError:
        path = ""
    for known, endpoint in _PATHS.items():
        if f"/{path.lstrip('/')}".endswith(known):
            return endpoint
    shown = printable(url, _SHOWN)
    raise ValidationError(f"url: {shown!r} is not supported; these are: {', '.join(URLS.values())}")


def _count_inputs(body: msgspec.Raw) -> int:
    """How many inputs a body of embeddings has: a list of numbers is one, as tokens."""
    given = _decode_inputs(body).input
    if not isinstance(given, list) or not given or isinstance(given[0], int):
        return 1
    return len(given)
