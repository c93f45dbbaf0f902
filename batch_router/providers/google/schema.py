"""Output schemas and tools as the Gemini API takes them, which has two fields for each.

`responseSchema` and `parameters` take a part of OpenAPI's schemas (ai.google.dev/api/caching#Schema), with types in
capitals. `responseJsonSchema` and `parametersJsonSchema` take JSON schemas, of which they read some keywords
(ai.google.dev/api/generate-content#generationconfig). In batches the former is the one that is known to work, so it is
used wherever it can say what the schema says.
"""

from ...core import OutputSchema, Tool
from ...exceptions import ValidationError
from .._schemas.forms import Forms, Schemas, Written
from .._schemas.writer import (
    DEFINITIONS,
    Node,
    Writer,
    cyclic,
    described,
    is_primitive,
    split_types,
    type_of,
)

_KEPT = (
    *("title", "description", "minItems", "maxItems", "required", "minProperties", "maxProperties"),
    *("minimum", "maximum", "minLength", "maxLength", "pattern", "propertyOrdering"),
)
# The service once refused all other formats of texts.
_FORMATS = {"string": ("date-time", "enum"), "number": ("float", "double"), "integer": ("int32", "int64")}
_JSON_KEPT = (
    *("type", "format", "title", "description", "enum", "minItems", "maxItems", "minimum", "maximum"),
    *("required", "propertyOrdering"),
)


class _OpenAPI(Writer):
    """Without references, with types in capitals, and with `nullable` in place of a type of its own."""

    def _write(self, node: Node) -> Node:
        if "$ref" in node:
            return self.write(self.inline(node))
        node = split_types({name: value for name, value in node.items() if name not in DEFINITIONS})
        self.one_of(node)
        node = _with_nullable(node)
        if "$ref" in node:
            return self.write(self.inline(node))
        written: Node = {"nullable": True} if node.pop("nullable", False) else {}
        if "anyOf" in node:
            written["anyOf"] = self.each(node.pop("anyOf"), "anyOf")
        else:
            self._add_type(node, written)
        written |= {name: node.pop(name) for name in _KEPT if name in node}
        return self.tell(written, node)

    def _add_type(self, node: Node, written: Node) -> None:
        values = node.pop("enum", [node.pop("const")] if "const" in node else [])
        texts = isinstance(values, list) and all(isinstance(value, str) for value in values)
        kind = node.pop("type", "string" if values else None)
        if not isinstance(kind, str) or not texts or (values and kind != "string") or "allOf" in node:
            raise ValidationError("it has values or types that only a JSON schema can say")
        written["type"] = kind.upper()
        if values:
            written["enum"] = values
        if node.get("format") in _FORMATS.get(kind, ()):
            written["format"] = node.pop("format")
        if kind == "object":
            self._add_object(node, written)
        if kind == "array":
            if "items" not in node or "prefixItems" in node:
                raise ValidationError("an array without one form of its items")
            written["items"] = self.write(node.pop("items"))

    def _add_object(self, node: Node, written: Node) -> None:
        if node.pop("additionalProperties", False) or "patternProperties" in node or not node.get("properties"):
            raise ValidationError("an object whose names are free")
        properties = self.properties(node)
        written["properties"] = properties
        if len(properties) > 1:
            node.setdefault("propertyOrdering", list(properties))


class _Json(Writer):
    """A JSON schema with the keywords that the service reads."""

    def _write(self, node: Node) -> Node:
        if "$ref" in node:
            parts = self.definitions(node)
            return self.refer(node) | parts
        self.one_of(node)
        written = self.definitions(node)
        if "const" in node and is_primitive(node["const"]):
            node.setdefault("enum", [node.pop("const")])
        if isinstance(values := node.get("enum"), list) and (kind := type_of(values)):
            node.setdefault("type", kind)
        if "anyOf" in node:
            written["anyOf"] = self.each(node.pop("anyOf"), "anyOf")
        if "prefixItems" in node:
            written["prefixItems"] = self.each(node.pop("prefixItems"), "prefixItems")
        if "properties" in node:
            written["properties"] = self.properties(node)
        for name in ("items", "additionalProperties"):
            if name in node:
                part = node.pop(name)
                written[name] = part if isinstance(part, bool) else self.write(part)
        written |= {name: node.pop(name) for name in _JSON_KEPT if name in node}
        return self.tell(written, node)


def _with_nullable(node: Node) -> Node:
    """The part with null as a property of it, in place of a type."""
    if node.get("type") == "null":
        raise ValidationError("a part that is always null")
    choices, values = node.get("anyOf"), node.get("enum")
    if isinstance(values, list) and None in values:
        node = node | {"enum": [value for value in values if value is not None], "nullable": True}
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return node
    left = [choice for choice in choices if choice != {"type": "null"}]
    rest = {name: value for name, value in node.items() if name != "anyOf"} | {"nullable": True}
    return rest | {"anyOf": left} if len(left) != 1 else {**left[0], **rest}


def _form_of(schema: Node, form: str | None) -> tuple[bool, Node, frozenset[str]]:
    """Whether it is OpenAPI's form, the schema in it, and the keywords that changed."""
    if form != "json_schema":
        try:
            return True, *_openapi(schema)
        except ValidationError as error:
            if form == "schema":
                raise ValidationError(f"google_form: responseSchema does not fit: {error}; leave it out") from None
    writer = _Json(schema)
    return False, writer.write(schema), frozenset(writer.changed)


def _openapi(schema: Node) -> tuple[Node, frozenset[str]]:
    if cyclic(schema):
        raise ValidationError("it contains itself")
    writer = _OpenAPI(schema)
    return writer.write(schema), frozenset(writer.changed)


def _output(source: OutputSchema) -> Written:
    try:
        is_openapi, schema, changed = _form_of(described(source), source.google_form)
    except ValidationError as error:
        raise ValidationError(f"generation_config.output_schema: {error}") from None
    return Written(schema, changed, "responseSchema" if is_openapi else "responseJsonSchema")


def _declaration(tool: Tool) -> Written:
    try:
        is_openapi, schema, changed = _form_of(tool.parameters, None)
    except ValidationError as error:
        raise ValidationError(f"generation_config.tools: {tool.name}: {error}") from None
    described = {} if tool.description is None else {"description": tool.description}
    named = {"name": tool.name, **described, "parameters" if is_openapi else "parametersJsonSchema": schema}
    return Written(named, changed)


#: The schema of an answer, whose member of `generationConfig` depends on it; and function declarations.
SCHEMAS = Schemas(Forms(OutputSchema, _output), Forms(Tool, _declaration))
