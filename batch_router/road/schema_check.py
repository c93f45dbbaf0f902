"""Whether data fits a JSON schema. Both come from outside: nothing is fetched, and no check takes long.

`jsonschema` does the checking, without the keywords whose regular expressions could take a worker's time without end
(`pattern`, `patternProperties`, `format`).
"""

import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from itertools import islice
from typing import Any

from ..security.printable import printable

# Steps of one check, some seconds' worth: alternatives within alternatives could take for ever.
_MOST_STEPS = 200_000
# Errors that are looked at, for the one that says most and for nulls; characters of one that are shown.
_MOST_ERRORS, _SHOWN = 10, 500

_UNSAFE = frozenset({"pattern", "patternProperties", "format"})
# Where a schema has further schemas: by name, in a list, and alone or in a list.
_MAPS = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"const", "default", "enum", "example", "examples", "required"})


class _TooLong(Exception):  # noqa: N818 - not an error: it happens
    """The check takes too many steps."""


class SchemaCheck:
    """The check of one schema.

    Args:
        schema: the user's.

    Attributes:
        unusable: why nothing (more) can be checked against it; None: it can.
        was_slow: whether a check took too many steps.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.unusable: str | None = None
        self.was_slow = False
        self._wraps = schema != {} and not {"properties", "$ref"} & schema.keys() and schema.get("type") != "object"
        try:
            self._validator = _compile(schema)
        except Exception as error:  # of jsonschema: no schema of a user costs a paid answer
            self.unusable = printable(f"it is no JSON schema: {getattr(error, 'message', error)}", _SHOWN)

    def fit(self, data: Any) -> tuple[Any, str | None]:
        """The data as it fits the schema, and what does not fit.

        A null for a property that may be left out, and may not be null, is left out: where every property is required
        there is no other way to leave it out. And a list (or whatever is no object) may stand in the `value` of one.
        """
        if self.unusable is not None:
            return data, f"not checked: {self.unusable}"
        _steps.left = _MOST_STEPS
        try:
            return self._fit(data)
        except _TooLong:
            self.unusable, self.was_slow = "the schema has too many alternatives", True
            return data, f"not checked: {self.unusable}"
        except RecursionError:
            return data, "not checked: nested too deeply"
        except Exception as error:  # of jsonschema: a reference that leads nowhere
            return data, printable(f"not checked: {error}", _SHOWN)

    def _fit(self, data: Any) -> tuple[Any, str | None]:
        if self._wraps and isinstance(data, dict) and data.keys() == {"value"}:
            return self._fit_or_leave_out(data["value"])
        return self._fit_or_leave_out(data)

    def _fit_or_leave_out(self, data: Any) -> tuple[Any, str | None]:
        errors = list(islice(self._validator.iter_errors(data), _MOST_ERRORS))
        if not errors:
            return data, None
        if nulls := {path for error in errors for path in _nulls(error)}:
            less = _without(data, nulls)
            if self._validator.is_valid(less):
                return less, None
        return None, _describe(errors)


def _describe(errors: list[Any]) -> str:
    from jsonschema.exceptions import best_match

    error = best_match(errors)
    return printable(f"the answer does not fit the schema: {error.json_path}: {error.message}", _SHOWN)


def _nulls(error: Any) -> Iterator[tuple[Any, ...]]:
    """Where nulls are that an error is about: the paths of members of objects."""
    path = tuple(error.absolute_path)
    if error.instance is None and path and isinstance(path[-1], str):
        yield path
    for inner in error.context or ():
        yield from _nulls(inner)


def _without(data: Any, paths: set[tuple[Any, ...]]) -> Any:
    less = deepcopy(data)
    for *around, name in paths:
        part = less
        for step in around:
            part = part[step]
        part.pop(name, None)
    return less


def _compile(schema: dict[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    safe = _safe(schema)
    kind = validator_for(safe, default=Draft202012Validator)
    kind.check_schema(safe)
    return _bounded(kind)(safe, registry=Registry())


def _safe(schema: Any) -> Any:
    """The schema without the keywords that are not looked at."""
    if not isinstance(schema, dict):
        return schema
    kept = {name: value for name, value in schema.items() if name not in _UNSAFE}
    if "patternProperties" in schema:  # the names that it allows are additional ones without it
        kept.pop("additionalProperties", None)
        kept.pop("unevaluatedProperties", None)
    return {name: _safe_part(name, value) for name, value in kept.items()}


def _safe_part(name: str, value: Any) -> Any:
    if name in _VALUES:
        return value
    if name in _MAPS and isinstance(value, dict):
        return {each: _safe(part) for each, part in value.items()}
    return [_safe(part) for part in value] if isinstance(value, list) else _safe(value)


class _Steps(threading.local):
    """What is left to the check that runs in this thread."""

    left: int = 0


_steps = _Steps()


@cache
def _bounded(kind: Any) -> Any:
    """A validator class of jsonschema that counts its steps."""
    from jsonschema.validators import extend

    return extend(kind, {name: _counted(name, check) for name, check in kind.VALIDATORS.items()})


def _counted(name: str, check: Callable[..., Any]) -> Callable[..., Any]:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        size = len(instance) if isinstance(instance, (dict, list)) else 1
        steps = len(value) if isinstance(value, (dict, list)) else 1
        _steps.left -= size * size if name == "uniqueItems" else steps * size if name == "enum" else steps + size
        if _steps.left < 0:
            raise _TooLong
        return check(validator, value, instance, schema)

    return counted
