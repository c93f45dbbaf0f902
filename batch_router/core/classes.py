"""Classes that describe data: their JSON schemas, and instances of them.

A class is a pydantic model, a dataclass, a TypedDict, a `msgspec.Struct`, or whatever is made of them: `list[Label]`,
`Label | None`, `Annotated[...]`.
"""

import re
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ..exceptions import ValidationError

_LONGEST_NAME = 64
_NO_NAME = re.compile("[^a-zA-Z0-9_-]+")


class _Described(NamedTuple):
    """A class: its JSON schema, and what makes an instance of plain data."""

    schema: dict[str, object]
    make: Callable[[object], Any]


def is_class(value: object) -> bool:
    """Whether a value describes data, and is none."""
    return isinstance(value, (type, types.UnionType)) or typing.get_origin(value) is not None


def schema_of_class(kind: Any) -> dict[str, object]:
    """The JSON schema of a class.

    Raises:
        ValidationError: it has none.
    """
    return _describe(kind).schema


def instance_of(kind: Any, data: object) -> Any:
    """An instance of the class that holds this data.

    Raises:
        ValueError: the data does not fit.
        ValidationError: it is no class that describes data.
    """
    return _describe(kind).make(data)


def name_of(kind: Any) -> str:
    """What to call the data of a class: its own name, within what providers take."""
    name = getattr(kind, "__name__", None) if typing.get_origin(kind) is None else None
    return as_name(name if isinstance(name, str) else str(kind).rpartition(".")[2])


def as_name(text: object) -> str:
    """A text as a name that providers take: letters, digits, `_` and `-`, at most 64."""
    return _NO_NAME.sub("_", str(text)).strip("_")[:_LONGEST_NAME] or "output"


def _describe(kind: Any) -> _Described:
    try:
        return _describe_once(kind)
    except TypeError:  # it cannot be hashed: a note in `Annotated` that is a dict
        return _read(kind)


@lru_cache(256)
def _describe_once(kind: Any) -> _Described:
    return _read(kind)


def _read(kind: Any) -> _Described:
    schema, validate = (getattr(kind, name, None) for name in ("model_json_schema", "model_validate"))
    if callable(schema):  # pydantic's models are known by their method
        return _Described(schema(), validate if callable(validate) else _no_instance)
    try:
        return _Described(_flat(msgspec.json.schema(kind)), lambda data: msgspec.convert(data, kind))
    except TypeError as error:
        return _read_by_pydantic(kind, str(error).rpartition("\n")[2])


def _read_by_pydantic(kind: Any, why: str) -> _Described:
    """What msgspec does not know may have pydantic models in it."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    try:
        adapter = TypeAdapter(kind)
        return _Described(adapter.json_schema(), adapter.validate_python)
    except (PydanticSchemaGenerationError, PydanticUserError):
        raise ValidationError(
            f"a schema must be a JSON schema, a pydantic model, a dataclass, a TypedDict or a msgspec.Struct: {why}"
        ) from None


def _flat(schema: dict[str, object]) -> dict[str, object]:
    """The schema of a class itself, in place of a reference to it: but where it refers to itself."""
    reference, parts = schema.get("$ref"), schema.get("$defs")
    if not isinstance(parts, dict) or f"'{reference}'" in str(parts):
        return schema
    name = str(reference).removeprefix("#/$defs/")
    rest = {each: part for each, part in parts.items() if each != name}
    own: dict[str, object] = parts.get(name, schema)
    return own | {"$defs": rest} if rest else own


def _no_instance(_: object) -> Any:
    raise ValidationError("the class has a JSON schema and makes no instances (`model_validate`)")
