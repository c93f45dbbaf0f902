"""The JSON schemas that the rows of a batch ask their answers to fit."""

import msgspec

from ..core import NativeRow, UnifiedRequest
from ..providers import NativeFormat

# Different schemas of a batch, and their bytes: `normalize` has all of them in memory. Answers to rows with others are
# read as JSON, and not checked.
_MOST, _MOST_BYTES = 1000, 8 << 20
# Number of the schema that any JSON fits.
_ANY = 0

_encode = msgspec.json.Encoder().encode


class AskedSchemas(msgspec.Struct, frozen=True):
    """The schemas of a batch, as they lie in storage: numbered from 0, which is `{}`."""

    schemas: list[dict[str, object]]


class SchemaList:
    """Numbers the schemas of the rows of a batch, as the user wrote them.

    Args:
        native: the form of rows that are sent as they stand, if the provider has one.

    Attributes:
        used: whether any row asked for JSON.
    """

    def __init__(self, native: NativeFormat | None) -> None:
        self._native = native
        self._numbers = {b"{}": _ANY}
        self._size = 0
        self._last: dict[str, object] = {}
        self._number = _ANY
        self.used = False

    def number_of(self, row: UnifiedRequest | NativeRow) -> int | None:
        """The number of the schema of a row; None: it asks for a text."""
        schema: dict[str, object] | None
        if isinstance(row, NativeRow):
            if not row.says_form and row.output_schema is None:
                return None
            schema = self._native_schema(row)
        else:
            config = row.generation_config
            if config is None or (config.output_schema is None and not config.json_object):
                return None
            schema = {} if config.output_schema is None else config.output_schema.schema
        if schema is None:
            return None
        self.used = True
        if schema is not self._last:
            self._last, self._number = schema, self._look_up(_encode(schema))
        return self._number

    def record(self) -> AskedSchemas:
        """All of them."""
        return AskedSchemas([msgspec.json.decode(encoded) for encoded in self._numbers])

    def _native_schema(self, row: NativeRow) -> dict[str, object] | None:
        if row.output_schema is not None:
            schema: dict[str, object] = row.output_schema.schema
            return schema
        if self._native is None:
            return None
        try:
            return self._native.asked_schema(row)
        except (AttributeError, RecursionError, TypeError):  # the service may understand it, or refuse it
            return None

    def _look_up(self, encoded: bytes) -> int:
        number = self._numbers.get(encoded)
        if number is None:
            if len(self._numbers) >= _MOST or self._size + len(encoded) > _MOST_BYTES:
                return _ANY
            self._size += len(encoded)
            number = self._numbers[encoded] = len(self._numbers)
        return number
