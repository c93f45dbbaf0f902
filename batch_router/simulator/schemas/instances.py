"""An instance of a schema, with the keywords that services take in schemas for answers and tools."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, ClassVar

from .merged import merged
from .numbers import number_of
from .texts import text_of

#: From here on nothing is written that a schema does not require; and nothing at all.
_DEEP, _TOO_DEEP = 4, 16
_TRIES = 50
_MOST_VALUES = 20_000
_KINDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def instance_of(schema: Any, chooser: Random) -> Any:
    """An instance, the same one for the same choices.

    `if`, `not`, `dependentSchemas` and `unevaluated...` are not read: no service takes them.

    Raises:
        ValueError: nothing fits the schema, or nothing is found soon.
    """
    return _Writer(schema, chooser).write(schema, 0)


class _Writer:
    def __init__(self, root: Any, chooser: Random) -> None:
        self._root = root
        self._chooser = chooser
        self._values = 0

    def write(self, schema: Any, depth: int) -> Any:
        """An instance at a depth."""
        self._values += 1
        if schema is False or depth > _TOO_DEEP or self._values > _MOST_VALUES:
            raise ValueError("nothing fits")
        schema = self._resolved({} if schema is True else schema)
        for name in ("anyOf", "oneOf"):
            if name in schema:
                rest = {key: value for key, value in schema.items() if key != name}
                options = [merged(rest, _as_dict(each)) for each in schema[name] if each is not False]
                return self._first_of(options, depth)
        if "const" in schema:
            return schema["const"]
        kinds = _kinds_of(schema)
        if "enum" in schema:
            values = [value for value in schema["enum"] if not kinds or any(_is_a(value, kind) for kind in kinds)]
            return self._chooser.choice(values or schema["enum"])
        if len(kinds) == 1:
            return self._WRITE[kinds[0]](self, schema, depth)
        return self._first_of([schema | {"type": kind} for kind in kinds or ["string"]], depth)

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema with what it refers to, and with all of `allOf`."""
        for _ in range(_TOO_DEEP):
            parts: list[Any] = list(schema.get("allOf", []))
            if "$ref" in schema:
                parts.append(self._target(schema["$ref"]))
            if not parts:
                return schema
            schema = {key: value for key, value in schema.items() if key not in ("allOf", "$ref")}
            for part in parts:
                schema = merged(schema, _as_dict(part))
        raise ValueError("references go in a circle")

    def _target(self, reference: str) -> Any:
        target = self._root
        if not reference.startswith("#"):
            raise ValueError(f"a reference to elsewhere: {reference}")
        for name in reference.removeprefix("#").split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            target = target[int(name)] if isinstance(target, list) else target[name]
        return target

    def _first_of(self, options: list[dict[str, Any]], depth: int) -> Any:
        """An instance of one of the options; of the simple ones first when it is deep already."""
        self._chooser.shuffle(options)
        if depth >= _DEEP:
            options.sort(key=lambda option: "$ref" in json.dumps(option))
        for option in options:
            try:
                return self.write(option, depth + 1)
            except ValueError:
                continue
        raise ValueError("no option fits")

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        known, required = schema.get("properties", {}), schema.get("required", [])
        made = {name: self.write(known.get(name, True), depth + 1) for name in known if name in required}
        more = schema.get("additionalProperties", True)
        made |= {name: self.write(more, depth + 1) for name in required if name not in known}
        for name in known:
            if name not in made and depth < _DEEP and len(made) < schema.get("maxProperties", len(known)):
                self._add(made, name, known[name], depth)
        if more is not False:
            wanted = schema.get("minProperties", 1 if isinstance(more, dict) and depth < _DEEP else 0)
            self._fill(made, schema.get("propertyNames"), more, wanted, depth)
        return {name: made[name] for name in [*known, *made] if name in made}

    def _add(self, made: dict[str, Any], name: str, schema: Any, depth: int) -> None:
        """Write a member that is not required, if one fits."""
        try:
            made[name] = self.write(schema, depth + 1)
        except ValueError:
            return

    def _fill(self, made: dict[str, Any], names: Any, values: Any, wanted: int, depth: int) -> None:
        """Write members of any name until there are so many."""
        for number in range(_TRIES):
            if len(made) >= wanted:
                return
            name = str(self.write(names | {"type": "string"}, depth + 1)) if names else f"key_{number + 1}"
            made[name] = self.write(values, depth + 1)

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first, others = schema.get("prefixItems", []), schema.get("items", True)
        if isinstance(others, list):  # as before draft 2020
            first, others = others, schema.get("additionalItems", True)
        made = [self.write(each, depth + 1) for each in first[: schema.get("maxItems", len(first))]]
        least = schema.get("minItems", 0)
        most = min(schema.get("maxItems", least + 2), least + 2) if others is not False and depth < _DEEP else least
        if "contains" in schema:
            wanted = range(schema.get("minContains", 1))
            made += [self.write(merged(_as_dict(others), _as_dict(schema["contains"])), depth + 1) for _ in wanted]
        count = max(least, self._chooser.randint(min(1, most), most))
        return self._grown(made, others, count, depth, least, is_set=bool(schema.get("uniqueItems")))

    def _grown(self, made: list[Any], items: Any, count: int, depth: int, least: int, *, is_set: bool) -> list[Any]:
        """The array with items until there are so many, or at least enough of them."""
        for _ in range(count + _TRIES):
            if len(made) >= count:
                break
            try:
                item = self.write(items, depth + 1)
            except ValueError:
                break
            if not is_set or json.dumps(item) not in map(json.dumps, made):
                made.append(item)
        if len(made) < least:
            raise ValueError("too few items")
        return made

    _WRITE: ClassVar[dict[str, Callable[["_Writer", dict[str, Any], int], Any]]] = {
        "object": _object,
        "array": _array,
        "string": lambda self, schema, _: text_of(schema, self._chooser),
        "integer": lambda self, schema, _: number_of(schema, self._chooser, whole=True),
        "number": lambda self, schema, _: number_of(schema, self._chooser, whole=False),
        "boolean": lambda self, *_: self._chooser.random() < 0.5,
        "null": lambda *_: None,
    }


def _as_dict(schema: Any) -> dict[str, Any]:
    if schema is False:
        raise ValueError("nothing fits")
    return {} if schema is True else dict(schema)


def _kinds_of(schema: dict[str, Any]) -> Sequence[str]:
    """The types that a schema names, or has keywords of; none if any is fine."""
    named = schema.get("type")
    if named is not None:
        return [named] if isinstance(named, str) else named
    return [kind for kind, names in _KINDS.items() if any(name in schema for name in names)][:1]


def _is_a(value: Any, kind: str) -> bool:
    types = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}
    if kind in types:
        return isinstance(value, types[kind])
    return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
