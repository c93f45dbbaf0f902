"""What all records that users get have in common: they are plain data too, for JSON, FastAPI and pydantic."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Self

import msgspec

from ..exceptions import ValidationError
from .record import JsonObject, explain, to_plain


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the records that users get: `to_dict()`, `dict(record)`, and a field's type in pydantic and FastAPI."""

    def to_dict(self) -> JsonObject:
        """The record as plain data, ready for JSON."""
        return to_plain(self)

    def keys(self) -> Iterator[str]:
        """The names of the fields that are set: with `record[name]` it makes `dict(record)`."""
        return (name for name in self.__struct_fields__ if getattr(self, name) is not msgspec.UNSET)

    def __getitem__(self, name: str) -> Any:
        if name not in self.__struct_fields__:
            raise KeyError(name)
        value = getattr(self, name)
        return str(value) if isinstance(value, Decimal) else value  # as JSON has money: FastAPI would make it a float

    @classmethod
    def _from_plain(cls, value: object) -> Self:
        try:
            return value if isinstance(value, cls) else msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise ValidationError(explain(error)) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> Any:
        """How pydantic (and so FastAPI) reads and writes the record; it calls this, so it is there to be imported."""
        from pydantic_core import core_schema

        writer = core_schema.plain_serializer_function_ser_schema(to_plain)
        return core_schema.no_info_plain_validator_function(cls._from_plain, serialization=writer)

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: object) -> JsonObject:
        (schema,), parts = msgspec.json.schema_components([cls], ref_template="{name}")
        plain: JsonObject = _inline(schema, lambda reference: parts[reference])
        return plain


def _inline(schema: Any, find: Callable[[str], Any]) -> Any:
    """The schema with each reference replaced by what it refers to: OpenAPI keeps its parts elsewhere."""
    match schema:
        case {"$ref": str(reference)}:
            return _inline(find(reference), find)
        case dict():
            return {name: _inline(each, find) for name, each in schema.items()}
        case list():
            return [_inline(each, find) for each in schema]
    return schema
