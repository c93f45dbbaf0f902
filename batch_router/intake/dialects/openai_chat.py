"""Bodies of `/v1/chat/completions`, OpenAI's and vLLM's."""

from typing import Any

from ...core import Endpoint
from ..losses import Translated
from .given import Given
from .openai_parts import BODY_DEFAULTS, add_function, read_arguments, read_part, set_schema
from .parts import Parts, as_turn, name_of, outcome, read_content, read_system, take_marker
from .translation import Translation

#: Name in a body -> name in `GenerationConfig`, where the value is the same.
_CONFIG = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "reasoning_effort": "reasoning_effort",
}
_DEFAULTS: dict[str, tuple[object, ...]] = BODY_DEFAULTS | {
    "n": (1,),
    "logprobs": (False,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "repetition_penalty": (1,),  # vLLM's
    "min_p": (0,),
}
_MESSAGE_DEFAULTS: dict[str, tuple[object, ...]] = {"refusal": ("",)}
# Without a cut: vLLM's two ways of writing it.
_ALL_TOKENS = (-1, 0)


def read(custom_id: Any, members: dict[str, Any]) -> Translated:
    """See `translate`."""
    translation = Translation()
    body = Given(members, "body", translation.losses)
    model = body.take("model")
    for message in body.members("messages"):
        _read_message(translation, message)
    _read_config(translation, body)
    _read_tools(translation, body)
    body.close(_DEFAULTS)
    return translation.finish(custom_id, model, Endpoint.CHAT, "body.messages")


def _read_config(translation: Translation, body: Given) -> None:
    for name, field in _CONFIG.items():
        value = body.take(name)
        if not (name.endswith("_penalty") and value == 0):  # their default here, and with all others
            translation.set(field, value, body.at(name))
    older, newer = body.take("max_tokens"), body.take("max_completion_tokens")
    counts = "max_tokens" if newer is None else "max_completion_tokens"
    translation.set("max_tokens", older if newer is None else newer, body.at(counts))
    if older not in (None, newer) and newer is not None:
        body.lose("max_tokens", "max_completion_tokens says something else; keep one")
    if (top_k := body.take("top_k")) not in _ALL_TOKENS:
        translation.set("top_k", top_k, body.at("top_k"))
    stop = body.take("stop")
    translation.set("stop_sequences", [stop] if isinstance(stop, str) else stop, body.at("stop"))
    if (shape := body.member("response_format")) is not None:
        _read_format(translation, shape, body)


def _read_format(translation: Translation, shape: Given, body: Given) -> None:
    match kind := shape.take("type"):
        case "text":
            pass
        case "json_object":
            translation.set("json_object", True, shape.path)
        case "json_schema":
            if (schema := shape.member("json_schema")) is not None:
                set_schema(translation, schema, shape.path)
        case _:
            body.lose("response_format", kind=kind if isinstance(kind, str) else None)
            return
    shape.close()


def _read_tools(translation: Translation, body: Given) -> None:
    for tool in body.members("tools"):
        kind = tool.take("type")
        if kind == "function" and (function := tool.member("function")) is not None:
            add_function(translation, tool, function)
        else:
            tool.lose_all(name_of(kind, "tool"), "only functions are translated")
    for function in body.members("functions"):
        add_function(translation, function, function)
    for name in ("tool_choice", "function_call"):
        if (choice := body.take(name)) is not None:
            _read_choice(translation, body, name, choice)


def _read_choice(translation: Translation, body: Given, name: str, choice: Any) -> None:
    match choice:
        case "auto" | "none" | "required":
            translation.choose_tool(choice, body, name)
        case {"type": "function", "function": {"name": str(chosen), **others}, **rest} if not others and not rest:
            translation.choose_tool({"name": chosen}, body, name)
        case {"name": str(chosen), **rest} if not rest:
            translation.choose_tool({"name": chosen}, body, name)
        case _:
            kind = choice.get("type") if isinstance(choice, dict) else None
            body.lose(name, kind=kind if isinstance(kind, str) else None)


# --- messages -------------------------------------------------------------------------------------------------------


def _read_message(translation: Translation, message: Given) -> None:
    match role := message.take("role"):
        case "system" | "developer":
            read_system(translation, message, role, _content(message))
        case "user":
            translation.add_turn("user", message.path, as_turn(message, _content(message)))
        case "assistant":
            _read_answer(translation, message)
        case "tool" | "function":
            _read_result(translation, message)
        case _:
            message.lose_all(name_of(role, "role"), "a role is system, user, assistant or tool")
    message.close(_MESSAGE_DEFAULTS)


def _content(message: Given) -> Parts:
    """The parts of a message, its own cache marker at the last of them."""
    parts = read_content(message, "content", read_part)
    if parts:
        path, last = parts[-1]
        parts[-1] = path, take_marker(message, last)
    return parts


def _read_answer(translation: Translation, message: Given) -> None:
    content = as_turn(message, _content(message))
    calls = [call for each in message.members("tool_calls") if (call := _read_call(translation, each)) is not None]
    if (legacy := message.member("function_call")) is not None:
        calls.append((legacy.path, _call(translation, legacy, None)))
        legacy.close()
    if calls and isinstance(content, str):
        content = [(message.at("content"), {"type": "text", "text": content})]
    translation.add_turn("assistant", message.path, [*content, *calls] if calls else content)


def _read_call(translation: Translation, call: Given) -> tuple[str, dict[str, Any]] | None:
    call_id, kind = call.text("id"), call.take("type")
    function = call.member("function") if kind in (None, "function") else None
    if function is None:
        translation.calls.lost.add(call_id or "")
        call.lose_all(name_of(kind, "tool_calls"), "only calls of functions are translated")
        return None
    read = take_marker(call, _call(translation, function, call_id))
    function.close()
    call.close()
    return call.path, read


def _call(translation: Translation, function: Given, call_id: str | None) -> dict[str, Any]:
    name = function.text("name") or ""
    arguments = read_arguments(function, function.take("arguments"))
    return {"type": "tool_call", "id": translation.calls.made(name, call_id), "name": name, "arguments": arguments}


def _read_result(translation: Translation, message: Given) -> None:
    """What a tool returned: its text, or its parts where there is more than that."""
    call_id, name = message.text("tool_call_id"), message.text("name")
    marker = take_marker(message, {})
    if call_id in translation.calls.lost:
        message.lose_all("tool", "the call that it answers is not sent")
        return
    with translation.all_needed() as kept:
        kept += _content(message)
    result: dict[str, Any] = {
        "type": "tool_result",
        "tool_call_id": translation.calls.answered(name or "", call_id),
        "content": outcome(kept),
    }
    if name:
        result["name"] = name
    translation.add_turn("user", message.path, [(message.path, result | marker)])
