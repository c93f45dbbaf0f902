"""What form of answer a request asks for: in the words of chat, of the Responses API, or of vLLM."""

import json
from typing import Any

from ..answers import FREE, Call, Form, fitting, prompt_of
from ..scenario import Scenario

#: vLLM's `structured_outputs`, and the names that it had in the body itself before.
_OLD = {"guided_json": "json", "guided_choice": "choice", "guided_regex": "regex"}
#: What a body has that asks for a form, and what it has that demands a call; most have neither.
_FORMS = frozenset({"response_format", "text", "structured_outputs", *_OLD})
_CALLS = frozenset({"tools", "functions", "tool_choice", "function_call"})


def form_of(body: dict[str, Any]) -> Form:
    """The form of the text."""
    if _FORMS.isdisjoint(body):
        return FREE
    given = body.get("response_format") or (body.get("text") or {}).get("format") or {}
    if given.get("type") == "json_schema":
        return Form(is_json=True, schema=given.get("json_schema", given).get("schema"))
    if given.get("type") == "json_object":
        return Form(is_json=True)
    own = {new: body[old] for old, new in _OLD.items() if body.get(old)} | (body.get("structured_outputs") or {})
    if "json" in own:
        return Form(is_json=True, schema=json.loads(own["json"]) if isinstance(own["json"], str) else own["json"])
    if own.get("json_object"):
        return Form(is_json=True)
    return Form(choices=tuple(own.get("choice", ())), pattern=own.get("regex")) if own else FREE


def call_of(scenario: Scenario, body: dict[str, Any]) -> Call | None:
    """The call that `tool_choice` (or `function_call`, its predecessor) demands; None if it demands none."""
    if _CALLS.isdisjoint(body):
        return None
    tools = [_flat(tool) for tool in body.get("tools") or []] + list(body.get("functions") or [])
    choice = _flat(body.get("tool_choice") or body.get("function_call"))
    names = _demanded(choice, tools)
    tool = next((tool for tool in tools if tool.get("name") in names), None)
    if tool is None:
        return None
    is_custom, prompt = tool.get("type") == "custom", prompt_of(body)
    written = prompt if is_custom else fitting(scenario, prompt, tool.get("parameters") or {"type": "object"})
    return Call(tool["name"], written, is_custom, is_named="name" in choice)


def _demanded(choice: Any, tools: list[dict[str, Any]]) -> list[str]:
    """The names of the tools of which one is demanded."""
    if choice == "required":
        return [tool["name"] for tool in tools if "name" in tool]
    if not isinstance(choice, dict):
        return []
    if choice.get("mode") == "required":
        return [str(_flat(tool).get("name")) for tool in choice["tools"]]
    return [choice["name"]] if "name" in choice else []


def _flat(tool: Any) -> Any:
    """A tool or a choice as the Responses API has it; chat has its fields in a member that is called like its type."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind is None:
        return tool or {}
    return {"type": kind} | tool[kind] if isinstance(tool.get(kind), dict) else tool
