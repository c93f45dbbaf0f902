"""A request in its provider's format; what the provider cannot do is refused, or dropped and counted."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from ..core import Endpoint, GenerationConfig, NativeRow, UnifiedRequest
from ..exceptions import UnsupportedContentTypeError, ValidationError
from ..providers import Provider
from ..security.printable import printable
from ..settings import Settings
from .fitting import Fitting
from .losses import Loss, Translated, place_of
from .models import warn_of_foreign_model

#: A row as it goes on to be encoded.
Row = UnifiedRequest | NativeRow

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
# Losses of one row that its error tells.
_MOST_TOLD = 20


class RowEncoder:
    """Encodes the requests of one batch.

    Attributes:
        dropped: what was left out, by name, and in how many places.
        adjusted: what of schemas is sent in another way than they say it, by name, and in how many rows.
    """

    def __init__(self, provider: Provider | type[Provider], unsupported: Unsupported, settings: Settings) -> None:
        self._provider = provider
        self._name = provider.name
        self._settings = settings
        self._queued: set[str | None] = set()  # models that some queue serves
        #: The rows to send, of unified and of native rows that `fit` returned. Called directly: one call less a row.
        self.encode_request = provider.codec.encode
        self.frame = provider.native.frame if provider.native is not None else None
        self._drop = unsupported == "drop"
        # Of the row before: most rows of a batch have one endpoint and one model, and an enum is slow to hash.
        self._endpoint: Endpoint | None = None
        self._model: str | None = None
        self._fitting = Fitting({}, {})
        self._takes = self._fitting.takes
        self._schemas = provider.schemas
        self.dropped: Counter[str] = Counter()
        self.adjusted: Counter[str] = Counter()

    def encode(self, row: Row | Translated, row_id: str) -> object:
        """The row to send.

        Raises:
            ValidationError: the provider does not take it; says which field, and what to do.
        """
        return self.encode_fitting(self.fit(row), row_id)

    def encode_fitting(self, row: Row, row_id: str) -> object:
        """The same of a row that `fit` returned."""
        if isinstance(row, NativeRow):
            assert self.frame is not None
            return self.frame(row, row_id)
        return self.encode_request(row, row_id)

    def fit(self, row: Row | Translated) -> Row:
        """The row as the provider takes it: the very same one, unless something had to be dropped.

        Raises:
            ValidationError: the provider does not take it; says every field, and what to do.
        """
        if row.model not in self._queued:
            self._check_model(row.model)
        if isinstance(row, UnifiedRequest):
            if row.model != self._model or (row.endpoint or _CHAT) is not self._endpoint:
                self._turn_to(row)
            if row.provider_kwargs or not self._takes(row):
                row = self._fit_request(row)
            config = row.generation_config
            if config is None or (config.output_schema is None and config.tools is None):
                return row
            return self._fit_schemas(row, config, {})
        if isinstance(row, Translated):
            self._turn_to(row.request)
            request = self._fit_translated(row)
            return self._fit_schemas(request, request.generation_config or GenerationConfig(), row.places)
        if row.output_schema is not None and self._schemas is not None:
            self._note(self._schemas.changes(row.output_schema))
        return row

    def _fit_request(self, request: UnifiedRequest) -> UnifiedRequest:
        if not _RESERVED.isdisjoint(request.provider_kwargs):
            _refuse_reserved(request.provider_kwargs)
        losses: list[Loss] = []
        request = self._fitting.fit(request, losses)
        if losses:
            self._settle(losses, request, {})
        return request

    def _fit_translated(self, row: Translated) -> UnifiedRequest:
        losses: list[Loss] = []
        request = self._fitting.fit(row.request, losses)
        losses = [*row.losses, *(loss._replace(path=place_of(loss.path, row.places)) for loss in losses)]
        if losses:
            self._settle(losses, request, row.places)
        return request

    def _fit_schemas(
        self, request: UnifiedRequest, config: GenerationConfig, places: Mapping[str, str]
    ) -> UnifiedRequest:
        if self._schemas is None:
            return request
        try:
            self._note(self._schemas.changes(config.output_schema, config.tools or ()))
        except ValidationError as error:
            path, _, why = str(error).partition(": ")
            if path != "generation_config.output_schema":
                raise
            request = replace(request, generation_config=replace(config, output_schema=None))
            self._settle([Loss(place_of(path, places), "output_schema", why)], request, places)
        return request

    def _note(self, changes: list[str]) -> None:
        for name in changes:
            _count(self.adjusted, name)

    def _check_model(self, model: str | None) -> None:
        check_model(model)
        self._provider.queue_of(model, self._settings)
        warn_of_foreign_model(model, self._provider, self._settings)
        if len(self._queued) < _MOST_NAMES:  # there may be as many as rows, and only so many are worth the memory
            self._queued.add(model)

    def _turn_to(self, request: UnifiedRequest) -> None:
        endpoint = request.endpoint or _CHAT
        if endpoint is self._endpoint and request.model == self._model:
            return
        lacks = self._provider.lacks(endpoint, request.model or "")
        if lacks is None:
            has = ", ".join(self._provider.endpoints)
            raise ValidationError(f"endpoint: {self._name} has no {endpoint.value!r}; it has: {has}")
        self._endpoint, self._model = endpoint, request.model
        self._fitting = Fitting(lacks, self._provider.media_types)
        self._takes = self._fitting.takes

    def _settle(self, losses: list[Loss], request: UnifiedRequest, places: Mapping[str, str]) -> None:
        """Count what a request goes without, or refuse it for all of that, and for what the codec refuses, too."""
        if not self._drop or any(loss.needed for loss in losses):
            raise self._refusal(losses, request, places)
        for loss in losses:
            _count(self.dropped, loss.name)

    def _refusal(self, losses: list[Loss], request: UnifiedRequest, places: Mapping[str, str]) -> ValidationError:
        told = [f"{loss}: {self._name} does not take it; {loss.remedy}" for loss in losses[:_MOST_TOLD]]
        if len(losses) > _MOST_TOLD:
            told.append(f"and {len(losses) - _MOST_TOLD} more")
        if not self._drop:
            told[-1] += ", or submit with unsupported='drop'"
        try:
            self.encode_request(request, "")
        except ValidationError as error:
            path, separator, rest = str(error).partition(":")
            told.append(place_of(path, places) + separator + rest)
        kind = UnsupportedContentTypeError if any(loss.is_content for loss in losses) else ValidationError
        return kind(". ".join(told))


def _count(counter: Counter[str], name: str) -> None:
    if name not in counter:
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


def _refuse_reserved(keys: Mapping[str, object]) -> None:
    for key in sorted(_RESERVED.intersection(keys)):
        raise ValidationError(f"provider_kwargs.{key}: {_RESERVED_REMEDY[key]}")
