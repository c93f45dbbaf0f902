"""A request in its provider's format; what the provider cannot do is refused, or dropped and counted."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from ..core import (
    Endpoint,
    GenerationConfig,
    NativeRow,
    OutputSchema,
    TextContent,
    Tool,
    UnifiedMessage,
    UnifiedRequest,
)
from ..core.content import Content
from ..exceptions import UnsupportedContentTypeError, ValidationError
from ..providers import Provider
from ..security.printable import printable
from ..settings import Settings
from .models import warn_of_foreign_model

#: What to do with a parameter or a part that the provider does not take.
Unsupported = Literal["error", "drop"]

_CHAT = Endpoint.CHAT  # an enum's member is slow to look up, too
_RESERVED_REMEDY = {
    "model": "a row is sent with the other rows of its model; name it in the row's `model`",
    "stream": "a batch has no streams; leave it out",
    "stream_options": "a batch has no streams; leave it out",
}
#: Keys of a request body that are not the user's to set, at any provider.
_RESERVED = frozenset(_RESERVED_REMEDY)
_LONGEST_MODEL = 256
# Names that are counted or remembered of one batch, and the characters of one.
_MOST_NAMES, _LONGEST_NAME = 200, 100
_OTHERS = "(others)"

_CONFIG_FIELDS = frozenset(GenerationConfig.__struct_fields__)


class RowEncoder:
    """Encodes the requests of one batch.

    Attributes:
        dropped: what was left out, by name, and in how many requests or parts.
        adjusted: what of schemas is sent in another way than they say it, by name, and in how many rows.
    """

    def __init__(self, provider: Provider | type[Provider], unsupported: Unsupported, settings: Settings) -> None:
        self._name = provider.name
        self._provider = provider
        self._settings = settings
        self._queued: set[str | None] = set()  # models that some queue serves
        self._encode = provider.codec.encode
        self._frame = provider.native.frame if provider.native is not None else None
        self._drop = unsupported == "drop"
        self._speaks_openai = provider.speaks_openai
        self._endpoints = provider.endpoints
        # What the endpoint of the row before lacks: most rows of a batch go to one, and an enum is slow to hash.
        self._endpoint: Endpoint | None = None
        self._remedies: Mapping[str, str] = {}
        self._fields: list[str] = []
        self._kinds: frozenset[str] = frozenset()
        self._schemas = provider.schemas
        self.dropped: Counter[str] = Counter()
        self.adjusted: Counter[str] = Counter()

    def encode(self, row: UnifiedRequest | NativeRow, row_id: str) -> object:
        """The row to send.

        Raises:
            ValidationError: the provider does not take it; says which field, and what to do.
        """
        return self.encode_fitting(self.fit(row), row_id)

    def encode_fitting(self, row: UnifiedRequest | NativeRow, row_id: str) -> object:
        """The same of a row that `fit` returned."""
        if isinstance(row, NativeRow):
            assert self._frame is not None
            return self._frame(row, row_id)
        return self._encode(row, row_id)

    def fit(self, row: UnifiedRequest | NativeRow) -> UnifiedRequest | NativeRow:
        """The row as the provider takes it: the very same one, unless something had to be dropped.

        Raises:
            ValidationError: the provider does not take it; says which field, and what to do.
        """
        if row.model not in self._queued:
            self._check_model(row.model)
        if isinstance(row, NativeRow):
            if row.output_schema is not None:
                self._note_schemas(row.output_schema, None)
            return row
        request = self._fit_request(row)
        config = request.generation_config
        if config is not None and (config.output_schema is not None or config.tools is not None):
            self._note_schemas(config.output_schema, config.tools)
        return request

    def _note_schemas(self, output: OutputSchema | None, tools: list[Tool] | None) -> None:
        if self._schemas is not None:
            for name in self._schemas.changes(output, tools or ()):
                _count(self.adjusted, name)

    def _fit_request(self, request: UnifiedRequest) -> UnifiedRequest:
        if request.provider_kwargs and not _RESERVED.isdisjoint(request.provider_kwargs):
            _refuse_reserved("provider_kwargs.", request.provider_kwargs)
        endpoint = request.endpoint or _CHAT
        if endpoint is not self._endpoint:
            self._turn_to(endpoint)
        config = request.generation_config
        if config is not None:
            for field in self._fields:
                if getattr(config, field) is not None:
                    request = self._drop_field(request, field)
        if self._kinds:
            for number, message in enumerate(request.messages):
                if message.content.__class__ is not str:
                    request = self._fit_message(request, number)
        if request.openai_kwargs is not None:
            request = self._place_openai_keys(request, request.openai_kwargs)
        return request

    def _check_model(self, model: str | None) -> None:
        check_model(model)
        self._provider.queue_of(model, self._settings)
        warn_of_foreign_model(model, self._provider, self._settings)
        if len(self._queued) < _MOST_NAMES:  # there may be as many as rows, and only so many are worth the memory
            self._queued.add(model)

    def _drop_field(self, request: UnifiedRequest, field: str) -> UnifiedRequest:
        self._refuse(ValidationError, "generation_config.", field, self._remedies[field])
        config = request.generation_config or GenerationConfig()
        return replace(request, generation_config=replace(config, **{field: None}))

    def _place_openai_keys(self, request: UnifiedRequest, keys: dict[str, Any]) -> UnifiedRequest:
        _refuse_reserved("body.", keys)
        if self._speaks_openai:
            return replace(request, provider_kwargs=keys | request.provider_kwargs, openai_kwargs=None)
        for key in keys:
            self._refuse(ValidationError, "body.", key, "leave it out")
        return replace(request, openai_kwargs=None)

    def _turn_to(self, endpoint: Endpoint) -> None:
        lacks = self._endpoints.get(endpoint)
        if lacks is None:
            has = ", ".join(self._endpoints)
            raise ValidationError(f"endpoint: {self._name} has no {endpoint.value!r}; it has: {has}")
        self._endpoint, self._remedies = endpoint, lacks
        self._fields = [field for field in lacks if field in _CONFIG_FIELDS]
        self._kinds = frozenset(lacks) - _CONFIG_FIELDS

    def _fit_message(self, request: UnifiedRequest, number: int) -> UnifiedRequest:
        message = request.messages[number]
        kept = self._fit_parts(message, f"messages[{number}]")
        if len(kept) == len(message.content):
            return request
        before, after = request.messages[:number], request.messages[number + 1 :]
        return replace(request, messages=[*before, replace(message, content=kept), *after])

    def _fit_parts(self, message: UnifiedMessage, where: str) -> list[Content]:
        kept: list[Content] = []
        for part in message.content:
            assert not isinstance(part, str)
            kind = kind_of(part)
            if kind in self._kinds:
                self._refuse(UnsupportedContentTypeError, f"{where}: ", kind, self._remedies[kind])
            else:
                kept.append(part)
        if not kept:
            raise ValidationError(f"{where}: nothing is left of it without what {self._name} does not take")
        return kept

    def _refuse(self, error: type[ValidationError], where: str, what: str, remedy: str) -> None:
        if not self._drop:
            raise error(f"{where}{what}: {self._name} does not take it; {remedy}, or submit with unsupported='drop'")
        _count(self.dropped, what)


def _count(counter: Counter[str], name: str) -> None:
    name = printable(name, _LONGEST_NAME)
    counter[name if name in counter or len(counter) < _MOST_NAMES else _OTHERS] += 1


def check_model(model: str | None) -> None:
    """Refuse what is no name of a model; it becomes a part of shards, queues' rules, messages and requests.

    Raises:
        ValidationError: it is too long, or has characters that cannot be seen.
    """
    if model is not None and (len(model) > _LONGEST_MODEL or not model.isprintable()):
        shown = printable(model, _LONGEST_NAME)
        raise ValidationError(f"model: {shown!r} is no name of one: up to {_LONGEST_MODEL} printable characters are")


def _refuse_reserved(where: str, keys: Mapping[str, object]) -> None:
    for key in sorted(_RESERVED.intersection(keys)):
        raise ValidationError(f"{where}{key}: {_RESERVED_REMEDY[key]}")


def kind_of(part: Content) -> str:
    """What a part is, as `Provider.endpoints` names it: `image.url`, `document.base64`, `tool_call`..."""
    if isinstance(part, TextContent):
        return "text"
    source: str | None = getattr(part, "source_type", None)
    return f"{part.type}.{source}" if source else part.type
