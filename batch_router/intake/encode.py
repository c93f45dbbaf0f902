"""A request in its provider's format; what the provider cannot do is refused, or dropped and counted."""

from collections import Counter
from typing import Any, Literal

import msgspec

from ..core import Endpoint, GenerationConfig, TextContent, UnifiedMessage, UnifiedRequest
from ..core.content import Content
from ..exceptions import UnsupportedContentTypeError, ValidationError
from ..providers import Provider

#: What to do with a parameter or a part that the provider does not take.
Unsupported = Literal["error", "drop"]

_CHAT = Endpoint.CHAT  # an enum's member is slow to look up, too
_CONFIG_FIELDS = frozenset(GenerationConfig.__struct_fields__)


class RowEncoder:
    """Encodes the requests of one batch.

    Attributes:
        dropped: what was left out, by name, and in how many requests or parts.
    """

    def __init__(self, provider: Provider | type[Provider], unsupported: Unsupported) -> None:
        self._name = provider.name
        self._queue_of = provider.queue_of
        self._queued: set[str | None] = set()  # models that some queue serves
        self._codec_encode = provider.codec.encode
        self._drop = unsupported == "drop"
        self._speaks_openai = provider.speaks_openai
        self._endpoints = provider.endpoints
        # What the endpoint of the row before lacks: most rows of a batch go to one, and an enum is slow to hash.
        self._endpoint: Endpoint | None = None
        self._fields: list[str] = []
        self._kinds: dict[str, str] = {}
        self.dropped: Counter[str] = Counter()

    def encode(self, request: UnifiedRequest, row_id: str) -> object:
        """The row to send. The request is changed in place where something is dropped.

        Raises:
            ValidationError: the provider does not take it; says which field, and what to do.
        """
        if request.model not in self._queued:
            self._queue_of(request.model)
            self._queued.add(request.model)
        endpoint = request.endpoint or _CHAT
        if endpoint is not self._endpoint:
            self._turn_to(endpoint)
        config = request.generation_config
        if config is not None:
            for field in self._fields:
                if getattr(config, field) is not None:
                    self._refuse(ValidationError, "generation_config.", field, self._endpoints[endpoint][field])
                    config = request.generation_config = msgspec.structs.replace(config, **{field: None})
        if self._kinds:
            for number, message in enumerate(request.messages):
                if message.content.__class__ is not str:
                    self._check_parts(message, f"messages[{number}]", self._kinds)
        if request.openai_kwargs is not None:
            self._place_openai_keys(request, request.openai_kwargs)
        return self._codec_encode(request, row_id)

    def _place_openai_keys(self, request: UnifiedRequest, keys: dict[str, Any]) -> None:
        if self._speaks_openai:
            request.provider_kwargs = keys | request.provider_kwargs
        else:
            for key in keys:
                self._refuse(ValidationError, "body.", key, "leave it out")
        request.openai_kwargs = None

    def _turn_to(self, endpoint: Endpoint) -> None:
        lacks = self._endpoints.get(endpoint)
        if lacks is None:
            has = ", ".join(self._endpoints)
            raise ValidationError(f"endpoint: {self._name} has no {endpoint.value!r}; it has: {has}")
        self._endpoint = endpoint
        self._fields = [field for field in lacks if field in _CONFIG_FIELDS]
        self._kinds = {kind: remedy for kind, remedy in lacks.items() if kind not in _CONFIG_FIELDS}

    def _check_parts(self, message: UnifiedMessage, where: str, kinds: dict[str, str]) -> None:
        kept: list[Content] = []
        for part in message.content:
            assert not isinstance(part, str)
            kind = kind_of(part)
            if kind in kinds:
                self._refuse(UnsupportedContentTypeError, f"{where}: ", kind, kinds[kind])
            else:
                kept.append(part)
        if not kept:
            raise ValidationError(f"{where}: nothing is left of it without what {self._name} does not take")
        message.content = kept

    def _refuse(self, error: type[ValidationError], where: str, what: str, remedy: str) -> None:
        if not self._drop:
            raise error(f"{where}{what}: {self._name} does not take it; {remedy}, or submit with unsupported='drop'")
        self.dropped[what] += 1


def kind_of(part: Content) -> str:
    """What a part is, as `Provider.endpoints` names it: `image.url`, `document.base64`, `tool_call`..."""
    if isinstance(part, TextContent):
        return "text"
    source: str | None = getattr(part, "source_type", None)
    return f"{part.type}.{source}" if source else part.type
