"""Records of what we read of an answer. A part of another shape is left out, and the rest is read.

A shape is a `msgspec.Struct` whose fields all have defaults. The usual answer is decoded into it in C; where msgspec
refuses a value, `fit` takes the answer apart field by field.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import inspect

S = TypeVar("S", bound=msgspec.Struct)
_Reader = Callable[[Any], Any]

# What a reader returns for a value of another shape.
_ODD: Any = msgspec.UNSET
# No answer has more tokens, and no count of another thing is higher.
_HIGHEST_COUNT = 10**12
NULL = msgspec.Raw(b"null")

#: The type of a field that counts something.
Count = Annotated[int, msgspec.Meta(ge=0, le=_HIGHEST_COUNT)]


class Shape(Generic[S]):
    """Reads JSON as records of one kind."""

    def __init__(self, kind: type[S]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, value: bytes | msgspec.Raw) -> S:
        """The record that a JSON value makes; the empty one where it is no object.

        Raises:
            msgspec.DecodeError: it is not valid JSON.
        """
        try:
            return self._decode(value)
        except msgspec.ValidationError:
            return fit(msgspec.json.decode(value), self._kind)


def fit(value: Any, kind: type[S]) -> S:
    """The record that a value makes, without the parts that have another shape."""
    fitted = _reader_of(kind)(value)
    return kind() if fitted is _ODD else fitted


def count_of(value: Any) -> int | None:
    """A count; some services write theirs as a text, or as 5.0. None: it is not one."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(_HIGHEST_COUNT)):
        return count_of(int(value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _HIGHEST_COUNT
    return value if is_count else None


def is_object(value: msgspec.Raw) -> bool:
    """Whether a JSON value is an object."""
    return bytes(memoryview(value)[:1]) == b"{"


def says_something(value: Any) -> bool:
    """Whether a value holds more than empty texts, objects and lists, nulls and zeros: `{"code": null}` does not."""
    if isinstance(value, dict | list):
        return any(map(says_something, value.values() if isinstance(value, dict) else value))
    return bool(value)


@cache
def _reader_of(kind: type[msgspec.Struct]) -> _Reader:
    return _make_reader(inspect.type_info(kind))


def _make_reader(kind: inspect.Type) -> _Reader:
    match kind:
        case inspect.StructType():
            return _record_reader(kind)
        case inspect.ListType(item_type=inspect.FloatType()):
            return _numbers
        case inspect.ListType():
            return _list_reader(kind)
        case inspect.UnionType():
            return _union_reader([_make_reader(each) for each in kind.types])
        case inspect.IntType():
            return lambda value: _ODD if (count := count_of(value)) is None else count
        case inspect.RawType():
            return lambda value: msgspec.Raw(msgspec.json.encode(value))
        case inspect.AnyType():
            return lambda value: value
    python_type = _PLAIN[type(kind)]
    return lambda value: value if isinstance(value, python_type) else _ODD


_PLAIN: dict[type[inspect.Type], type] = {
    inspect.StrType: str,
    inspect.BoolType: bool,
    inspect.DictType: dict,
    inspect.NoneType: type(None),
}


def _numbers(value: Any) -> Any:
    """All of them: without one of them the others would be in the wrong places."""
    try:
        return msgspec.convert(value, list[float])
    except msgspec.ValidationError:
        return _ODD


def _record_reader(kind: inspect.StructType) -> _Reader:
    """Odd is what is no object, and what has fields of ours and none of them in its shape."""
    readers = [(field.name, field.encode_name, _make_reader(field.type)) for field in kind.fields]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            return _ODD
        found = {name: reader(value[key]) for name, key, reader in readers if key in value}
        fitted = {name: each for name, each in found.items() if each is not _ODD}
        return kind.cls(**fitted) if fitted or not found else _ODD

    return read


def _list_reader(kind: inspect.ListType) -> _Reader:
    """A record that is odd stays as an empty one, so that the others keep their places."""
    reader = _make_reader(kind.item_type)
    empty = kind.item_type.cls if isinstance(kind.item_type, inspect.StructType) else lambda: _ODD

    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return _ODD
        fitted = (reader(each) for each in value)
        items = (empty() if each is _ODD else each for each in fitted)
        return [each for each in items if each is not _ODD]

    return read


def _union_reader(readers: list[_Reader]) -> _Reader:
    def read(value: Any) -> Any:
        return next((found for reader in readers if (found := reader(value)) is not _ODD), _ODD)

    return read
