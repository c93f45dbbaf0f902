"""Gemini's schemas, a subset of OpenAPI 3.0, as JSON schemas."""

from typing import Any

_SINGLE = ("items", "additionalProperties")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def camel(name: str) -> str:
    """`responseSchema` for `response_schema`: the service reads both."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest) if first else name


def json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema that says the same: types in lower case, null as a type, properties in the order asked for."""
    given = {camel(name): value for name, value in schema.items() if value is not None}
    order = given.pop("propertyOrdering", None)
    nullable = given.pop("nullable", False)
    made = {name: _value(name, value) for name, value in given.items() if name not in ("type", "format", "example")}
    if (kind := given.get("type")) not in (None, "TYPE_UNSPECIFIED"):
        plain = kind.lower() if isinstance(kind, str) else kind
        made = {"type": [plain, "null"] if nullable and isinstance(plain, str) else plain} | made
    if (shape := given.get("format")) not in (None, "enum"):
        made["format"] = shape
    if "example" in given:
        made["examples"] = [given["example"]]
    if nullable and isinstance(made.get("enum"), list) and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if nullable and "type" not in made and isinstance(made.get("anyOf"), list):
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    if isinstance(order, list) and isinstance(made.get("properties"), dict):
        made["properties"] = _ordered(made["properties"], order)
    return made


def _value(name: str, value: Any) -> Any:
    if name in ("properties", "defs") and isinstance(value, dict):
        return {key: json_schema(each) if isinstance(each, dict) else each for key, each in value.items()}
    if name in _SINGLE and isinstance(value, dict):
        return json_schema(value)
    if name == "anyOf" and isinstance(value, list):
        return [json_schema(each) if isinstance(each, dict) else each for each in value]
    if name in _COUNTS and isinstance(value, str) and value.isdecimal():  # the service writes long integers as texts
        return int(value)
    return value


def _ordered(properties: dict[str, Any], order: list[Any]) -> dict[str, Any]:
    first = [name for name in order if isinstance(name, str) and name in properties]
    return {name: properties[name] for name in [*dict.fromkeys(first), *properties]}
