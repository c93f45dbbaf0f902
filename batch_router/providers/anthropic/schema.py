"""Output schemas and strict tools as Anthropic takes them.

platform.claude.com/docs/en/build-with-claude/structured-outputs (limitations). `anthropic.transform_schema` of the SDK
does the same to a class, but for what is refused here: it would ask for an object that is always empty.
"""

from ...core import OutputSchema, Tool
from ...exceptions import ValidationError
from ...security.printable import printable
from .._schemas.forms import Forms, Schemas, Written
from .._schemas.writer import Node, Writer, cyclic, described, is_open, is_primitive, split_types, with_object_root

_SHOWN = 100
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})


class _Closed(Writer):
    """Objects have no other properties than those that are named, and bounds go into descriptions."""

    def _write(self, node: Node) -> Node:
        if "$ref" in node:
            return self.refer(node)
        node = split_types(node)
        self.one_of(node)
        written = self.definitions(node)
        self._add_values(node, written)
        choice = next((name for name in ("anyOf", "allOf") if name in node), None)
        kind = node.pop("type", None)
        if choice is not None:
            written[choice] = self.each(node.pop(choice), choice)
            if choice == "allOf" and "'additionalProperties'" in str(written[choice]):
                raise ValidationError("allOf: anthropic takes no object that has to be several at once; merge them")
        elif not {"enum", "const"} & written.keys():
            if not isinstance(kind, str):
                raise ValidationError("anthropic takes no part that may be anything: give it a type")
            written["type"] = kind
            self._add_parts(kind, node, written)
        written |= {name: node.pop(name) for name in ("description", "title") if name in node}
        return self.tell(written, node)

    def _add_values(self, node: Node, written: Node) -> None:
        values = node.get("enum")
        if isinstance(values, list) and values and all(map(is_primitive, values)):
            written["enum"] = node.pop("enum")
        if "const" in node and is_primitive(node["const"]):
            written["const"] = node.pop("const")

    def _add_parts(self, kind: str, node: Node, written: Node) -> None:
        match kind:
            case "object":
                if is_open(node):
                    raise ValidationError("anthropic takes no object whose names are free; list its properties")
                if node.pop("additionalProperties", False):
                    self.changed.add("additionalProperties")
                written |= {"properties": self.properties(node), "additionalProperties": False}
                if "required" in node:
                    written["required"] = node.pop("required")
            case "array":
                if "items" in node:
                    written["items"] = self.write(node.pop("items"))
                if node.get("minItems") in (0, 1):
                    written["minItems"] = node.pop("minItems")
            case "string" if node.get("format") in _FORMATS:
                written["format"] = node.pop("format")


def _closed(schema: Node, where: str) -> Written:
    try:
        root, wrapped = with_object_root(schema)
        if cycles := cyclic(root):
            shown = printable(min(cycles), _SHOWN)
            raise ValidationError(f"anthropic takes no schema that contains itself ({shown}); write its levels out")
        writer = _Closed(root)
        return Written(writer.write(root), frozenset(writer.changed | ({"type"} if wrapped else set())))
    except ValidationError as error:
        raise ValidationError(f"generation_config.{where}: {error}") from None


def _tool(tool: Tool) -> Written:
    return _closed(tool.parameters, f"tools: {tool.name}") if tool.strict else Written(tool.parameters)


def _output(source: OutputSchema) -> Written:
    return _closed(described(source), "output_schema")


#: The schemas alone. That of the answer is always enforced, and has no name; a tool that is not strict has its own.
SCHEMAS = Schemas(Forms(OutputSchema, _output), Forms(Tool, _tool))
