"""Bodies of OpenAI's `/v1/responses`."""

from typing import Any

from ...core import Endpoint
from ..losses import Translated
from .given import Given
from .openai_parts import BODY_DEFAULTS, add_function, read_arguments, read_part, set_schema
from .parts import as_turn, name_of, outcome, read_content, read_system, take_marker
from .translation import Translation

_CONFIG = {"temperature": "temperature", "top_p": "top_p", "max_output_tokens": "max_tokens"}
_DEFAULTS: dict[str, tuple[object, ...]] = BODY_DEFAULTS | {
    "store": (True, False),  # nothing is stored for later retrieval elsewhere
    "background": (False,),
    "truncation": ("disabled",),
}
_NO_OTHER = "no other provider can read it; leave it out"


def read(custom_id: Any, members: dict[str, Any]) -> Translated:
    """See `translate`: the same as a chat."""
    translation = Translation()
    body = Given(members, "body", translation.losses)
    model = body.take("model")
    if (instructions := body.text("instructions")) is not None:
        translation.add_system(body.at("instructions"), [instructions] if instructions else [])
    _read_input(translation, body)
    _read_config(translation, body)
    _read_tools(translation, body)
    body.close(_DEFAULTS)
    return translation.finish(custom_id, model, Endpoint.CHAT, "body.input")


def _read_config(translation: Translation, body: Given) -> None:
    for name, field in _CONFIG.items():
        translation.set(field, body.take(name), body.at(name))
    if (reasoning := body.member("reasoning")) is not None:
        translation.set("reasoning_effort", reasoning.take("effort"), reasoning.at("effort"))
        reasoning.close()
    if (text := body.member("text")) is not None:
        if (shape := text.member("format")) is not None:
            _read_format(translation, shape, text)
        text.close({"verbosity": ("medium",)})


def _read_format(translation: Translation, shape: Given, text: Given) -> None:
    match kind := shape.take("type"):
        case "json_schema":
            set_schema(translation, shape, shape.path)
        case "json_object":
            translation.set("json_object", True, shape.path)
            shape.close()
        case "text":
            shape.close()
        case _:
            text.lose("format", kind=kind if isinstance(kind, str) else None)


def _read_tools(translation: Translation, body: Given) -> None:
    for tool in body.members("tools"):
        kind = tool.take("type")
        if kind == "function":
            add_function(translation, tool, tool)
        else:
            tool.lose_all(name_of(kind, "tool"), "only functions are translated")
    match choice := body.take("tool_choice"):
        case None:
            pass
        case "auto" | "none" | "required":
            translation.choose_tool(choice, body, "tool_choice")
        case {"type": "function", "name": str(name), **rest} if not rest:
            translation.choose_tool({"name": name}, body, "tool_choice")
        case _:
            kind = choice.get("type") if isinstance(choice, dict) else None
            body.lose("tool_choice", kind=kind if isinstance(kind, str) else None)


# --- items ----------------------------------------------------------------------------------------------------------


def _read_input(translation: Translation, body: Given) -> None:
    where = body.at("input")
    given = body.take("input")
    if isinstance(given, str):
        translation.add_turn("user", where, given)
    elif isinstance(given, list):
        for number, item in enumerate(given):
            if (inner := body.inner(item, f"{where}[{number}]")) is not None:
                _read_item(translation, inner)
    elif given is not None:
        body.lose("input", "give a text, or a list of items")


def _read_item(translation: Translation, item: Given) -> None:
    match kind := item.take("type"):
        case None | "message":
            _read_message(translation, item)
        case "function_call":
            _read_call(translation, item)
        case "function_call_output":
            _read_output(translation, item)
        case _:
            if isinstance(call_id := item.take("call_id"), str):
                translation.calls.lost.add(call_id)
            item.lose_all(name_of(kind, "item"), _NO_OTHER)
    item.close()


def _read_message(translation: Translation, item: Given) -> None:
    match role := item.take("role"):
        case "system" | "developer":
            read_system(translation, item, role, read_content(item, "content", read_part))
        case "user" | "assistant":
            translation.add_turn(role, item.path, as_turn(item, read_content(item, "content", read_part)))
        case _:
            item.lose_all(name_of(role, "role"), "a role is system, developer, user or assistant")


def _read_call(translation: Translation, item: Given) -> None:
    call_id, name = item.text("call_id"), item.text("name") or ""
    call = {
        "type": "tool_call",
        "id": translation.calls.made(name, call_id),
        "name": name,
        "arguments": read_arguments(item, item.take("arguments")),
    }
    translation.add_turn("assistant", item.path, [(item.path, take_marker(item, call))])


def _read_output(translation: Translation, item: Given) -> None:
    call_id, name = item.text("call_id"), item.text("name")
    if call_id in translation.calls.lost:
        item.lose_all("function_call_output", "the call that it answers is not sent")
        return
    with translation.all_needed() as kept:
        kept += read_content(item, "output", read_part)
    result = {
        "type": "tool_result",
        "tool_call_id": translation.calls.answered(name or "", call_id),
        "content": outcome(kept),
    } | ({"name": name} if name else {})
    translation.add_turn("user", item.path, [(item.path, take_marker(item, result))])
