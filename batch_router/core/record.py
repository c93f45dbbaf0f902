"""What all records that users make have in common: one set of rules, written as types."""

from typing import TYPE_CHECKING, Any

import msgspec

from ..exceptions import ValidationError
from .classes import is_class, schema_of_class

#: A JSON object whose names are not ours: a schema, a tool's arguments, a provider's own keys; or a record as data.
JsonObject = dict[str, Any]


def to_plain(record: msgspec.Struct) -> JsonObject:
    """A record as plain data, ready for JSON; what it leaves out by default is left out."""
    plain: JsonObject = msgspec.to_builtins(record)
    return plain


class _Checked(msgspec.StructMeta):
    """Holds a call of the class to the types that msgspec holds a JSON row to.

    msgspec checks types and bounds when it decodes, in C, and not when the class is called. A `__post_init__` would run
    in both cases, once per row, for what the decoder has checked already; it made decoding a third slower.
    """

    if not TYPE_CHECKING:  # for a type checker the fields are the signature

        def __call__(cls, **fields: Any) -> Any:  # noqa: N805 - of a metaclass
            """The record with these fields; dicts in place of nested records, classes in place of schemas."""
            try:
                return msgspec.convert(cls._written(fields), cls)
            except msgspec.ValidationError as error:
                raise ValidationError(explain(error)) from None


class Record(msgspec.Struct, metaclass=_Checked, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of the records that users make. They never change: `msgspec.structs.replace` makes another one.

    The garbage collector does not look at them (`gc=False`): they hold plain data, which makes no cycles.
    """

    @classmethod
    def _written(cls, fields: dict[str, object]) -> dict[str, object]:
        """The fields as JSON has them, where callers may write them in another way."""
        return fields


def schema_of(value: Any) -> Any:
    """The JSON schema of a class that describes data; all else as it is.

    Raises:
        ValidationError: the class has none.
    """
    return schema_of_class(value) if is_class(value) else value


def explain(error: msgspec.ValidationError, within: str = "") -> str:
    """What msgspec says, with the field in front: "Expected `str`, got `int` - at `$.custom_id`".

    Args:
        error: of a value.
        within: where the value itself stands, if it is a part of another one.
    """
    what, _, where = str(error).partition(" - at `$")
    field = (within + where.rstrip("`")).lstrip(".")
    if field == "custom_id" and what.endswith(("got `int`", "got `float`")):
        what += "; write it in quotes, as a text"
    if field.endswith("role"):
        what += "; 'user' or 'assistant', and a system prompt only in front"
    return f"{field}: {what}" if field else what
