"""What form of answer a request asks for. REST names may be camelCase or snake_case, and both are seen."""

import re
from typing import Any

from ..answers import FREE, Call, Form, fitting
from ..scenario import Scenario
from .prompts import prompt_of

_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def either(holder: Any, name: str) -> Any:
    """A member by its name in camelCase or in snake_case."""
    snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
    return holder.get(name, holder.get(snake)) if isinstance(holder, dict) else None


def form_of(request: dict[str, Any]) -> Form:
    """The form of the text, by the `generationConfig`."""
    config = either(request, "generationConfig")
    subset, schema = either(config, "responseSchema"), either(config, "responseJsonSchema")
    schema = json_schema(subset) if subset else schema or either(config, "_responseJsonSchema")
    match either(config, "responseMimeType"):
        case "application/json":
            return Form(is_json=True, schema=schema)
        case "text/x.enum":
            return Form(choices=tuple((schema or {}).get("enum", ())))
    return FREE


def call_of(scenario: Scenario, request: dict[str, Any]) -> Call | None:
    """The call that the `toolConfig` demands; None if it demands none."""
    config = either(either(request, "toolConfig"), "functionCallingConfig")
    names = either(config, "allowedFunctionNames")
    tools = [each for tool in request.get("tools") or [] for each in either(tool, "functionDeclarations") or []]
    tool = next((tool for tool in tools if not names or tool.get("name") in names), None)
    if tool is None or str(either(config, "mode")).upper() != "ANY":
        return None
    schema = either(tool, "parametersJsonSchema") or json_schema(tool.get("parameters") or {"type": "OBJECT"})
    return Call(tool["name"], fitting(scenario, prompt_of(request), schema))


def json_schema(subset: Any) -> Any:
    """The API's `Schema`, a subset of OpenAPI's with types in capitals and int64 as text, as a JSON schema."""
    if not isinstance(subset, dict):
        return subset
    schema: dict[str, Any] = {name: int(value) if name in _COUNTS else value for name, value in subset.items()}
    if isinstance(schema.get("type"), str):
        schema["type"] = schema["type"].lower()
    for name in ("properties", "$defs", "defs"):
        if isinstance(schema.get(name), dict):
            schema[name] = {key: json_schema(value) for key, value in schema[name].items()}
    for name in ("anyOf", "any_of", "prefixItems"):
        if isinstance(schema.get(name), list):
            schema[name.replace("any_of", "anyOf")] = [json_schema(each) for each in schema[name]]
    if "items" in schema:
        schema["items"] = json_schema(schema["items"])
    if schema.pop("nullable", False):
        return {"anyOf": [schema, {"type": "null"}]}
    return schema
