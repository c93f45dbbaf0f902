"""The `params` of Anthropic's Message Batches."""

from functools import partial
from typing import Any

from ...core import OutputSchema
from ..losses import Translated
from .given import Given
from .media import PDF, inline
from .parts import as_turn, name_of, outcome, read_content, read_system, take_marker
from .translation import Translation

_CONFIG = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop_sequences",
}
#: What is said by leaving it out (the SDK's docstrings).
_DEFAULTS: dict[str, tuple[object, ...]] = {
    "stream": (False,),
    "metadata": ({},),
    "service_tier": ("auto",),
    "speed": ("standard",),
    "output_config": ({},),
}
_BLOCK_DEFAULTS: dict[str, tuple[object, ...]] = {
    "citations": ({"enabled": False}, {}),
    "transformations": ({}, {"oversized_image": "downsize"}),
    "caller": ({"type": "direct"},),
}
_TOOL_DEFAULTS: dict[str, tuple[object, ...]] = {"defer_loading": (False,), "allowed_callers": (["direct"],)}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_FILE = "only anthropic has the file; send it in base64, or by URL"
_NO_OTHER = "no other provider reads it; leave it out"


def read(custom_id: Any, members: dict[str, Any]) -> Translated:
    """See `translate`."""
    translation = Translation()
    params = Given(members, "params", translation.losses)
    model = params.take("model")
    read_system(translation, params, "system", read_content(params, "system", partial(_read_block, translation)))
    for message in params.members("messages"):
        _read_message(translation, message)
    for name, field in _CONFIG.items():
        translation.set(field, params.take(name), params.at(name))
    _read_effort(translation, params)
    _read_tools(translation, params)
    params.close(_DEFAULTS)
    return translation.finish(custom_id, model, None, "params.messages")


def _read_effort(translation: Translation, params: Given) -> None:
    thinking = params.member("thinking")
    kind = thinking.take("type") if thinking is not None else None
    if thinking is not None:
        if kind == "disabled":
            translation.set("reasoning_effort", "none", thinking.path)
        elif kind != "adaptive":  # that is: as the model sees fit
            thinking.lose_all("thinking", "say how long to think with output_config.effort")
        thinking.close()
    if (output := params.member("output_config")) is None:
        return
    if kind == "disabled" and "effort" in output:
        output.lose("effort", "thinking is disabled; keep one of both")
    translation.set("reasoning_effort", output.take("effort"), output.at("effort"))
    if (shape := output.member("format")) is not None:
        _read_format(translation, shape)
    output.close()


def _read_format(translation: Translation, shape: Given) -> None:
    kind, schema = shape.take("type"), shape.kept("schema")
    if kind != "json_schema" or schema is None:
        shape.lose_all(name_of(kind, "format"))
        return
    translation.set("output_schema", OutputSchema(schema=schema), shape.path)
    shape.close()


def _read_tools(translation: Translation, params: Given) -> None:
    for tool in params.members("tools"):
        kind = tool.take("type")
        if kind not in (None, "custom"):
            tool.lose_all(name_of(kind, "tools"), "only tools of your own are translated")
            continue
        read = {name: tool.take(name) for name in ("name", "description", "strict")}
        read["parameters"] = tool.kept("input_schema")
        read = take_marker(tool, read)
        tool.close(_TOOL_DEFAULTS)
        translation.add_tool(tool, read)
    if (choice := params.member("tool_choice")) is None:
        return
    kind, name = choice.take("type"), choice.take("name")
    choice.close({"disable_parallel_tool_use": (False,)})
    if kind == "tool":
        translation.choose_tool({"name": name}, params, "tool_choice")
    elif isinstance(kind, str) and kind in _CHOICES:
        translation.choose_tool(_CHOICES[kind], params, "tool_choice")
    else:
        params.lose("tool_choice")


# --- messages -------------------------------------------------------------------------------------------------------


def _read_message(translation: Translation, message: Given) -> None:
    role = message.take("role")
    content = read_content(message, "content", partial(_read_block, translation))
    if role == "system":
        read_system(translation, message, role, content)
    elif role in ("user", "assistant"):
        translation.add_turn(role, message.path, as_turn(message, content))
    else:
        message.lose_all(name_of(role, "role"), "a role is user, assistant or system")
    message.close()


def _read_block(translation: Translation, block: Given) -> dict[str, Any] | None:
    part = _read_kind(translation, block, block.take("type"))
    if part is not None:
        part = take_marker(block, part)
        block.close(_BLOCK_DEFAULTS)
    return part


def _read_kind(translation: Translation, block: Given, kind: object) -> dict[str, Any] | None:
    match kind:
        case "text":
            text = block.text("text")
            return {"type": "text", "text": text} if text else None
        case "image" | "document":
            return _read_media(block, kind)
        case "tool_use":
            name = block.text("name") or ""
            call_id = translation.calls.made(name, block.text("id"))
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": block.kept("input") or {}}
        case "tool_result":
            return _read_result(translation, block)
        case "thinking" | "redacted_thinking":
            block.lose_all(kind, "no other provider can read it; leave it out", is_content=True)
            return None
    block.lose_all(name_of(kind, "block"), _NO_OTHER, is_content=True)
    return None


def _read_media(block: Given, kind: str) -> dict[str, Any] | None:
    if (source := block.member("source")) is None:
        block.lose_all(kind, "give its source", is_content=True)
        return None
    origin = source.take("type")
    read = _read_source(source, kind, origin)
    if read is None:
        remedy = _FILE if origin == "file" else _NO_OTHER
        block.lose_all(f"{kind}.{name_of(origin, 'source')}", remedy, is_content=True)
        return None
    source.close()
    if read["type"] == "document" and (title := block.text("title")):
        read["filename"] = title
    return read


def _read_source(source: Given, kind: str, origin: object) -> dict[str, Any] | None:
    """An image, a PDF, or a document of plain text as its text."""
    match origin:
        case "base64":
            return inline(source.text("media_type") or "", source.text("data") or "")
        case "url":
            media_type, url = "image/*" if kind == "image" else PDF, source.text("url")
            return {"type": kind, "source_type": "url", "media_type": media_type, "data": url} if url else None
        case "text" if kind == "document":
            source.take("media_type")
            text = source.text("data")
            return {"type": "text", "text": text} if text else None
    return None


def _read_result(translation: Translation, block: Given) -> dict[str, Any]:
    with translation.all_needed() as kept:
        kept += read_content(block, "content", partial(_read_block, translation))
    result = {"type": "tool_result", "tool_call_id": block.text("tool_use_id") or "", "content": outcome(kept)}
    match block.take("is_error"):
        case None | False:
            return result
        case True:
            return result | {"is_error": True}
    block.lose("is_error", "give true or false")
    return result
