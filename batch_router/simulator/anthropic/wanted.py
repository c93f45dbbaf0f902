"""What form of answer a row asks for."""

from typing import Any

from ..answers import FREE, Call, Form, fitting, prompt_of
from ..scenario import Scenario


def form_of(params: dict[str, Any]) -> Form:
    """The form of the text: by `output_config.format`, or `output_format` as it was called before."""
    given = (params.get("output_config") or {}).get("format") or params.get("output_format") or {}
    return Form(is_json=True, schema=given.get("schema")) if given.get("type") == "json_schema" else FREE


def call_of(scenario: Scenario, params: dict[str, Any]) -> Call | None:
    """The call that `tool_choice` demands; None if it demands none."""
    choice, tools = params.get("tool_choice") or {}, params.get("tools") or []
    is_named = choice.get("type") == "tool"
    names = [choice.get("name")] if is_named else [tool.get("name") for tool in tools if "input_schema" in tool]
    tool = next((tool for tool in tools if tool.get("name") in names), None)
    if tool is None or choice.get("type") not in ("tool", "any"):
        return None
    written = fitting(scenario, prompt_of(params), tool.get("input_schema") or {"type": "object"})
    return Call(tool["name"], written, is_named=is_named)
