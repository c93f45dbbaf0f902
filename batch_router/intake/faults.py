"""All that is wrong with a row, as plain data: not only what the decoder met first."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from ..core import GenerationConfig, UnifiedRequest
from ..core.record import explain
from ..security.printable import printable

# Faults of one row that are told, names in one of them, and the characters of a name.
_MOST, _MOST_NAMES, _LONGEST = 10, 5, 100
# What a row may have as a user writes it.
_ROW = ("custom_id", "prompt", *UnifiedRequest.__struct_fields__[1:])
# What rows of batch files have beside that.
_OTHER_ROWS = ("key", "request", "params", "method", "url", "body")
_PARAMETERS = frozenset(GenerationConfig.__struct_fields__)


def describe_faults(row: dict[str, Any]) -> str:
    """The sentence for a row that is no unified request: each of its faults, with the field in front."""
    faults = list(islice(_faults(row, UnifiedRequest, ""), _MOST + 1))
    more = ["and more"] if len(faults) > _MOST else []
    return "; ".join([*faults[:_MOST], *more])


def explain_native(error: msgspec.ValidationError, row: dict[str, Any], form: str) -> str:
    """The sentence for a row that is nearly one of a provider's own batch files; `form` shows its names."""
    names = re.findall(r'"(\w+)"', form)
    unknown = [name for name in row if name not in names]
    return unknown_fields(unknown, names, f"a row {form} has no others") if unknown else explain(error)


def unknown_fields(names: Sequence[str], known: Collection[str], has: str) -> str:
    """The sentence for fields that do not exist; `has` says what may be there."""
    shown = [f"`{printable(name, _LONGEST)}`" for name in names[:_MOST_NAMES]]
    matches = [get_close_matches(name[:_LONGEST], known, 1) for name in names[:_MOST_NAMES]]
    close = [f"`{match[0]}`" for name, match in zip(names, matches, strict=False) if match and match[0] != name]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    hint = f"did you mean {', '.join(close)}?" if close and all(matches) and not more else has
    return f"unknown field{'s' if len(names) > 1 else ''} {', '.join(shown)}{more}; {hint}"


def _faults(value: object, kind: Any, where: str) -> Iterator[str]:
    """What is wrong with a value of a type: the faults of its parts, or else its own."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        parts = _faults_within(value, kind, where)
        first = next(parts, None)
        yield explain(error, where) if first is None else first
        yield from parts


def _faults_within(value: object, kind: Any, where: str) -> Iterator[str]:
    kinds = list(_alternatives(kind))
    if isinstance(value, dict):
        record = _record_of(value, kinds)
        return iter(()) if record is None else _faults_of_record(value, record, where)
    if isinstance(value, list):
        items = next((get_args(each)[0] for each in kinds if get_origin(each) is list), None)
        if items is not None:
            return (fault for number, each in enumerate(value) for fault in _faults(each, items, f"{where}[{number}]"))
    return iter(())


def _faults_of_record(value: dict[str, Any], record: type[msgspec.Struct], where: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(record)}
    known = fields.keys() | {record.__struct_config__.tag_field}
    if unknown := [name for name in value if name not in known]:
        yield _at(where, _unknown(unknown, record, [*fields]))
    for name, field in fields.items():
        if name in value:
            yield from _faults(value[name], field.type, f"{where}.{name}" if where else name)
        elif field.required:
            or_prompt = ", or `prompt`" if name == "messages" else ""
            yield _at(where, f"missing field `{name}`{or_prompt}")


def _unknown(names: list[str], record: type[msgspec.Struct], fields: list[str]) -> str:
    if record is not UnifiedRequest:
        return unknown_fields(names, fields, f"it may have: {', '.join(fields)}")
    if names == ["prompt"]:
        return "unknown field `prompt` beside `messages`; keep one of the two"
    if set(names) <= _PARAMETERS:
        return unknown_fields(names, (), "parameters belong into `generation_config`")
    return unknown_fields(names, (*_ROW, *_OTHER_ROWS), f"a row may have: {', '.join(_ROW)}")


def _alternatives(kind: Any) -> Iterator[Any]:
    """The types that a value may have, without their bounds."""
    if get_origin(kind) is Annotated:
        yield from _alternatives(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _alternatives(each)
    else:
        yield kind


def _record_of(value: dict[str, Any], kinds: Iterable[Any]) -> type[msgspec.Struct] | None:
    """The record that an object is meant to be; None: it says of none that it is."""
    records = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    if len(records) == 1:
        return records[0]
    return next((kind for kind in records if kind.__struct_config__.tag == value.get("type")), None)


def _at(where: str, what: str) -> str:
    return f"{where}: {what}" if where else what
