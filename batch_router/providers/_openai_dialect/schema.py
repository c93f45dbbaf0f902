"""Output schemas and tools as OpenAI and vLLM take them.

developers.openai.com/api/docs/guides/structured-outputs (supported schemas) says what OpenAI's strict form may have. A
schema with what it does not have at all (free names, tuples, any value) is sent without `strict`.
"""

from functools import lru_cache

import msgspec

from ...core import OutputSchema, Tool
from ...exceptions import ValidationError
from .._schemas.forms import LARGEST, Form, Forms, Schemas, Written
from .._schemas.writer import Node, Writer, is_open, type_of, with_object_root

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
_KEPT = (
    *("type", "title", "description", "enum", "const", "pattern", "minLength", "maxLength", "minItems", "maxItems"),
    *("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)
# The answer could not be what the user's schema allows.
_NOT_STRICT = frozenset({"patternProperties", "prefixItems", "additionalItems", "allOf"})


class _NotStrict(Exception):  # noqa: N818 - not an error: it happens
    """The strict form has nothing for what the schema says; `str` is the keyword."""


class _Strict(Writer):
    """Every property is required, and no others are allowed; one that may be left out may be null in its place."""

    def _write(self, node: Node) -> Node:
        if "$ref" in node:
            return self.refer(node)
        self.one_of(node)
        if keyword := next(iter(_NOT_STRICT & node.keys()), None):
            raise _NotStrict(keyword)
        written = self.definitions(node)
        written |= {name: node.pop(name) for name in _KEPT if name in node}
        if "anyOf" in node:
            written["anyOf"] = self.each(node.pop("anyOf"), "anyOf")
        self._add_type(written)
        kinds = written.get("type")
        if "object" in (kinds if isinstance(kinds, list) else [kinds]):
            self._add_object(node, written)
        if "items" in node:
            written["items"] = self.write(node.pop("items"))
        if node.get("format") in _FORMATS:
            written["format"] = node.pop("format")
        return self.tell(written, node)

    def _add_type(self, written: Node) -> None:
        if "type" in written or "anyOf" in written:
            return
        values = written.get("enum", [written["const"]] if "const" in written else [])
        kind = type_of(values) if isinstance(values, list) else None
        if kind is not None:
            written["type"] = kind
        elif not values:
            raise _NotStrict("type")

    def _add_object(self, node: Node, written: Node) -> None:
        if is_open(node) or node.pop("additionalProperties", False) is not False:
            raise _NotStrict("additionalProperties")
        given, required = node.get("properties"), node.pop("required", ())
        properties = self.properties(node)
        if isinstance(given, dict) and isinstance(required, list):
            given = {name: part for name, part in given.items() if name not in required}
        for name, part in (given if isinstance(given, dict) else {}).items():
            if part.get("default") is None:
                properties[name] = self._or_null(properties[name])
        written |= {"properties": properties, "required": list(properties), "additionalProperties": False}

    def _or_null(self, part: Node) -> Node:
        choices = part.get("anyOf")
        choices = choices if isinstance(choices, list) else None
        if choices and {"type": "null"} in choices:
            return part
        self.changed.add("required")
        return part | {"anyOf": [*choices, {"type": "null"}]} if choices else {"anyOf": [part, {"type": "null"}]}


def _strict(schema: Node) -> tuple[Node, frozenset[str]] | None:
    """The strict form, with the keywords that it changes; None: there is none."""
    writer = _Strict(schema)
    try:
        return writer.write(schema), frozenset(writer.changed)
    except _NotStrict:
        return None


def _named(source: OutputSchema, schema: Node, strict: bool | None) -> Node:
    known = {"schema": schema, "name": source.name, "description": source.description, "strict": strict}
    return {name: value for name, value in known.items() if value is not None}


def _output(source: OutputSchema) -> Written:
    try:
        root, wrapped = with_object_root(source.schema)
        changed = frozenset({"type"} if wrapped else ())
        if not source.strict:
            return Written(_named(source, root if wrapped else source.schema, source.strict), changed)
        strict = _strict(root)
    except ValidationError as error:
        raise ValidationError(f"generation_config.output_schema: {error}") from None
    if strict is None:
        return Written(_named(source, root, False), changed | {"strict"})
    return Written(_named(source, strict[0], True), changed | strict[1])


def _function(tool: Tool) -> Written:
    if not tool.strict:
        return _plain_function(tool)
    try:
        strict = _strict(with_object_root(tool.parameters)[0])
    except ValidationError as error:
        raise ValidationError(f"generation_config.tools: {tool.name}: {error}") from None
    if strict is None:
        return Written(_described(tool, tool.parameters, False), frozenset({"strict"}))
    return Written(_described(tool, strict[0], True), strict[1])


def _described(tool: Tool, parameters: Node, strict: bool | None) -> Node:
    known = {"name": tool.name, "description": tool.description, "parameters": parameters, "strict": strict}
    return {name: value for name, value in known.items() if value is not None}


def _plain_output(source: OutputSchema) -> Written:
    return Written(_named(source, source.schema, source.strict))


def _plain_function(tool: Tool) -> Written:
    return Written(_described(tool, tool.parameters, tool.strict))


#: For OpenAI: the output as a `json_schema`, a tool as a `function`.
STRICT = Schemas(Forms(OutputSchema, _output), Forms(Tool, _function))
#: As they are, for vLLM.
PLAIN = Schemas(Forms(OutputSchema, _plain_output), Forms(Tool, _plain_function))


def flat_format(form: Form) -> msgspec.Raw:
    """An output in the form of `/v1/responses`, where its members are not in an object of their own."""
    return _flat_of("json_schema", form.value)


def flat_function(form: Form) -> msgspec.Raw:
    """The same of a function."""
    return _flat_of("function", form.value)


def _flat_of(kind: str, nested: msgspec.Raw) -> msgspec.Raw:
    content = bytes(nested)
    return _known_flat(kind, content) if len(content) <= LARGEST else _flat(kind, content)


def _flat(kind: str, nested: bytes) -> msgspec.Raw:
    # Left out, `strict` is true there, and a schema that is not made for it is refused.
    members = msgspec.json.decode(nested, type=dict[str, msgspec.Raw])
    return msgspec.Raw(msgspec.json.encode({"type": kind, "strict": False, **members}))


_known_flat = lru_cache(_flat)
