"""What all forms of a schema have in common: references, unions of types, and what to do with other keywords."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property

from ...core import OutputSchema
from ...exceptions import ValidationError
from ...security.printable import printable

#: A schema, or a part of one.
Node = dict[str, object]

#: The member of the object that a schema stands in which describes something else than an object.
WRAP = "value"

DEFINITIONS = ("$defs", "definitions")
# They say nothing about the data.
_SILENT = frozenset({"$schema", "$id", "$anchor", "$comment", "discriminator"})
# They say something about it, and allow no less: no provider is missing anything without them.
_REMARKS = frozenset({"default", "deprecated", "example", "examples", "readOnly", "title", "writeOnly"})
# Parts of a form: a schema that refers to its parts often would become too large where they are written out.
_MOST_PARTS = 10_000
_SHOWN = 100

_TYPE_OF = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_OF_TYPE = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("format", "pattern", "minLength", "maxLength"),
}


class Writer(ABC):
    """Writes one schema in another form.

    Attributes:
        changed: the keywords that the form has in another way or lacks.
    """

    def __init__(self, root: Node) -> None:
        self._root = root
        self._parts = 0
        self.changed: set[str] = set()

    def write(self, node: object) -> Node:
        """The form of a part.

        Raises:
            ValidationError: it is no schema, too large, or has what the form cannot say.
        """
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise ValidationError(f"more than {_MOST_PARTS:,} parts; make it smaller")
        if not isinstance(node, dict):
            raise ValidationError(f"{printable(str(node), _SHOWN)} stands where a schema should; describe the data")
        return self._write({name: value for name, value in node.items() if name not in _SILENT})

    @abstractmethod
    def _write(self, node: Node) -> Node:
        """The form of a part, which may be changed."""

    def definitions(self, node: Node) -> Node:
        """Its definitions, taken out of it, in the form."""
        taken = {name: _mapping(node.pop(name), name) for name in DEFINITIONS if name in node}
        return {name: {each: self.write(part) for each, part in parts.items()} for name, parts in taken.items()}

    def each(self, parts: object, name: str) -> list[object]:
        """The forms of several parts."""
        if not isinstance(parts, list) or not parts:
            raise ValidationError(f"{name}: must be a list of schemas")
        return [self.write(part) for part in parts]

    def properties(self, node: Node) -> dict[str, Node]:
        """Its properties, taken out of it, in the form."""
        given = _mapping(node.pop("properties", {}), "properties")
        return {name: self.write(part) for name, part in given.items()}

    def one_of(self, node: Node) -> None:
        """Make a choice of exactly one a choice of any: no provider has the former. Of a single one, take it."""
        if "oneOf" in node and "anyOf" not in node:
            node["anyOf"] = node.pop("oneOf")
            self.changed.add("oneOf")
        if isinstance(every := node.get("allOf"), list) and len(every) == 1 and isinstance(every[0], dict):
            del node["allOf"]
            for name, value in every[0].items():
                node.setdefault(name, value)

    def refer(self, node: Node) -> Node:
        """A part that is a reference: alone, or else what it refers to, with what stands beside it over that."""
        node.pop("default", None)
        reference = node["$ref"]
        resolve(reference, self._root)
        if len(node) == 1 or reference in self._cyclic:
            self.changed.update(node.keys() - {"$ref"})
            return {"$ref": reference}
        return self.write(self.inline(node))

    def inline(self, node: Node) -> Node:
        """What it refers to, with what stands beside the reference over it."""
        reference = node.pop("$ref")
        return {**resolve(reference, self._root), **node}

    @cached_property
    def _cyclic(self) -> set[str]:
        return cyclic(self._root)

    def tell(self, written: Node, left: Node) -> Node:
        """The part with keywords that the form does not have in its description, where the model reads them."""
        self.changed.update(left.keys() - _REMARKS)
        told = {name: value for name, value in left.items() if name not in _SILENT and value is not None}
        if told:
            text = "{" + ", ".join(f"{name}: {value}" for name, value in told.items()) + "}"
            before = written.get("description")
            written["description"] = f"{before}\n\n{text}" if before else text
        return written


def resolve(reference: object, root: Node) -> Node:
    """The part of a schema that a reference names.

    Raises:
        ValidationError: it is not in there.
    """
    found: object = root
    if isinstance(reference, str) and reference.startswith("#"):
        for name in reference.removeprefix("#").split("/")[1:]:
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    shown = printable(str(reference), _SHOWN)
    raise ValidationError(f"$ref: {shown!r} is not in it; refer to its own `$defs`: {'#/$defs/...'!r}")


def referred(node: object) -> set[str]:
    """All that a part of a schema refers to, itself."""
    found: set[str] = set()
    left: list[object] = [node]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if isinstance(reference := part.get("$ref"), str):
                found.add(reference)
            left += part.values()
        elif isinstance(part, list):
            left += part
    return found


def cyclic(root: Node) -> set[str]:
    """The parts of a schema that contain themselves, by the references to them."""
    inside = {reference: referred(resolve(reference, root)) for reference in referred(root)}
    return {start for start in inside if start in _reached(inside, start)}


def _reached(inside: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        more = inside.get(left.pop(), set()) - seen
        seen |= more
        left += more
    return seen


def described(source: OutputSchema) -> Node:
    """The schema with the description of the form in front of its own, for providers without another place for it."""
    schema: Node = source.schema
    texts = [text for text in (source.description, schema.get("description")) if text]
    return {**schema, "description": "\n\n".join(map(str, texts))} if source.description else schema


def with_object_root(schema: Node) -> tuple[Node, bool]:
    """The schema with an object as its root, and whether it had to be wrapped: its answers stand in a `value` then."""
    root = schema
    if "$ref" in root:
        rest = {name: value for name, value in root.items() if name != "$ref"}
        root = {**resolve(root["$ref"], schema), **rest}
    kind = root.get("type", "object" if "properties" in root else None)
    if kind == "object" and not {"anyOf", "oneOf", "enum", "const", "$ref"} & root.keys():
        return root, False
    if any(
        reference == "#" or not reference.startswith(("#/$defs/", "#/definitions/")) for reference in referred(root)
    ):
        raise ValidationError("$ref: it must be an object where it refers to itself as a whole; use `$defs`")
    inner = {name: value for name, value in root.items() if name not in DEFINITIONS}
    parts = {name: root[name] for name in DEFINITIONS if name in root}
    wrapped = {"type": "object", "properties": {WRAP: inner}, "required": [WRAP], "additionalProperties": False}
    return {**wrapped, **parts}, True


def split_types(node: Node) -> Node:
    """The part with one type, or a choice of parts with one type each."""
    kinds = node.get("type")
    if not isinstance(kinds, list):
        return node
    if len(kinds) == 1:
        return node | {"type": kinds[0]}
    special = {name for names in _OF_TYPE.values() for name in names}
    shared = {name: value for name, value in node.items() if name not in special and name not in ("type", *_KEPT)}
    own = [_of_type(node, str(kind), shared) for kind in kinds]
    return {name: node[name] for name in _KEPT if name in node} | {"anyOf": own}


# They stay beside a choice.
_KEPT = ("description", "title", "default")


def _of_type(node: Node, kind: str, shared: Mapping[str, object]) -> Node:
    if kind == "null":
        return {"type": "null"}
    own = {name: node[name] for name in _OF_TYPE.get(kind, ()) if name in node}
    if isinstance(values := node.get("enum"), list):
        shared = {**shared, "enum": [value for value in values if value is not None]}
    return {"type": kind, **shared, **own}


def type_of(values: Iterable[object]) -> str | None:
    """The type that all of these values have, if they have one."""
    kinds = {_TYPE_OF.get(type(value)) for value in values}
    return kinds.pop() if len(kinds) == 1 else None


def is_primitive(value: object) -> bool:
    """Whether a value has no parts."""
    return type(value) in _TYPE_OF


def is_open(node: Node) -> bool:
    """Whether it is an object whose names are free, and so has none of its own."""
    more = node.get("additionalProperties")
    return not node.get("properties") and (bool(more) or (more is None and "properties" not in node))


def _mapping(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValidationError(f"{name}: must be an object of schemas")
    return value
