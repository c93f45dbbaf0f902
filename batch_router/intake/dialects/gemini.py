"""The `request` of Gemini's batch files, in camelCase or snake_case."""

from typing import Any

import msgspec

from ...core import Endpoint, OutputSchema
from ...core.media import plain_media_type
from ...exceptions import ValidationError
from ...providers.google.openapi import camel, json_schema
from ..losses import Translated
from .given import Given
from .media import inline, kind_of_type
from .parts import Parts, name_of, outcome
from .translation import Translation

_CONFIG = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_tokens",
    "stopSequences": "stop_sequences",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "seed": "seed",
}
#: What is said by leaving it out (ai.google.dev/api/generate-content, and the SDK's docstrings).
_CONFIG_DEFAULTS: dict[str, tuple[object, ...]] = {
    "candidateCount": (1,),
    "responseMimeType": ("text/plain",),
    "responseLogprobs": (False,),
    "responseModalities": (["TEXT"],),
    "mediaResolution": ("MEDIA_RESOLUTION_UNSPECIFIED",),
}
_DECLARATION_DEFAULTS: dict[str, tuple[object, ...]] = {"behavior": ("UNSPECIFIED", "BLOCKING")}
# The numbers that are efforts elsewhere: those that an effort becomes on the way to Google.
_BUDGETS = {0: "none", 1024: "low", 8192: "medium", 24576: "high"}
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
_ROLES = {None: "user", "": "user", "user": "user", "function": "user", "model": "assistant"}
_JSON = "application/json"
# Files that only Google can read.
_OWN_FILES = ("gs://", "https://generativelanguage.googleapis.com/")
_NO_OTHER = "no other provider reads it; leave it out"


def read(custom_id: Any, members: dict[str, Any]) -> Translated:
    """See `translate`."""
    translation = Translation()
    request = Given(members, "request", translation.losses, camel)
    model = request.text("model")
    model = model.removeprefix("models/") if model else None
    if "content" in request:
        return _read_embedding(translation, request, custom_id, model)
    if (system := request.member("systemInstruction")) is not None:
        system.take("role")
        translation.add_system(system.path, [part["text"] for _, part in _parts(translation, system, only_text=True)])
        system.close()
    for content in request.members("contents"):
        _read_turn(translation, content)
    if (config := request.member("generationConfig")) is not None:
        _read_config(translation, config)
    _read_tools(translation, request)
    request.close()
    return translation.finish(custom_id, model, None, "request.contents")


def _read_embedding(translation: Translation, request: Given, custom_id: Any, model: str | None) -> Translated:
    content = request.member("content")
    parts = _parts(translation, content, only_text=True) if content is not None else []
    if content is not None:
        content.take("role")
        content.close()
    if len(parts) > 1:
        raise ValidationError("request.content: must be one text for other providers; write a row for each of several")
    translation.add_turn("user", "request.content", "".join(part["text"] for _, part in parts))
    request.close({"taskType": ("TASK_TYPE_UNSPECIFIED",), "title": ("",)})
    return translation.finish(custom_id, model, Endpoint.EMBEDDINGS, "request.content")


# --- parameters -----------------------------------------------------------------------------------------------------


def _read_config(translation: Translation, config: Given) -> None:
    for name, field in _CONFIG.items():
        value = config.take(name)
        whole = int(value) if isinstance(value, float) and field in ("top_k", "seed") and value.is_integer() else value
        if not (name.endswith("Penalty") and value == 0):
            translation.set(field, whole, config.at(name))
    _read_format(translation, config)
    if (thinking := config.member("thinkingConfig")) is not None:
        _read_thinking(translation, thinking)
    config.close(_CONFIG_DEFAULTS)


def _read_format(translation: Translation, config: Given) -> None:
    own, plain = config.kept("responseSchema"), config.kept("responseJsonSchema")
    schema = json_schema(own) if own is not None else plain
    if schema is not None:
        name = "responseJsonSchema" if own is None else "responseSchema"
        translation.set("output_schema", OutputSchema(schema=schema), config.at(name))
        if own is not None and plain is not None:
            config.lose("responseJsonSchema", "responseSchema says it, too; keep one")
    where, kind = config.at("responseMimeType"), config.take("responseMimeType")
    if kind == _JSON:
        translation.set("json_object", True if schema is None else None, where)
    elif kind not in (None, "text/plain"):
        config.lose("responseMimeType")


def _read_thinking(translation: Translation, thinking: Given) -> None:
    level, budget = thinking.take("thinkingLevel"), thinking.take("thinkingBudget")
    if isinstance(level, str) and level.upper() != "THINKING_LEVEL_UNSPECIFIED":
        translation.set("reasoning_effort", level.lower(), thinking.at("thinkingLevel"))
    if isinstance(budget, int) and budget in _BUDGETS:
        translation.set("reasoning_effort", _BUDGETS[budget], thinking.at("thinkingBudget"))
    elif budget not in (None, -1):  # that is: as the model sees fit
        thinking.lose("thinkingBudget", f"others have efforts: these are exact: {', '.join(map(str, _BUDGETS))}")
    thinking.close({"includeThoughts": (False,)})


def _read_tools(translation: Translation, request: Given) -> None:
    for tool in request.members("tools"):
        for declaration in tool.members("functionDeclarations"):
            own, plain = declaration.kept("parameters"), declaration.kept("parametersJsonSchema")
            read = {"name": declaration.take("name"), "description": declaration.take("description")}
            read["parameters"] = json_schema(own) if own is not None else plain
            declaration.close(_DECLARATION_DEFAULTS)
            translation.add_tool(declaration, read)
        tool.close()
    if (config := request.member("toolConfig")) is not None:
        if (calling := config.member("functionCallingConfig")) is not None:
            _read_choice(translation, calling)
            calling.close()
        config.close()


def _read_choice(translation: Translation, calling: Given) -> None:
    names = [name for _, name in calling.items("allowedFunctionNames")]
    mode = calling.take("mode")
    if names and (mode != "ANY" or len(names) > 1):
        calling.lose("allowedFunctionNames", "others can be told of one function only, with the mode ANY")
    elif names:
        translation.choose_tool({"name": names[0]}, calling, "mode")
        return
    if isinstance(mode, str) and mode in _MODES:
        translation.choose_tool(_MODES[mode], calling, "mode")
    elif mode not in (None, "MODE_UNSPECIFIED"):
        calling.lose("mode", "others have AUTO, ANY and NONE")


# --- turns ----------------------------------------------------------------------------------------------------------


def _read_turn(translation: Translation, content: Given) -> None:
    role = content.take("role")
    parts = _parts(translation, content)
    if not isinstance(role, str | None) or role not in _ROLES:
        content.lose_all(name_of(role, "role"), "a role is user or model")
    else:
        text = len(parts) == 1 and parts[0][1]["type"] == "text"
        translation.add_turn(_ROLES[role], content.path, parts[0][1]["text"] if text else parts)
    content.close()


def _parts(translation: Translation, content: Given, *, only_text: bool = False) -> Parts:
    found = [(part.path, _read_part(translation, part, only_text)) for part in content.members("parts")]
    return [(path, part) for path, part in found if part is not None]


def _read_part(translation: Translation, part: Given, only_text: bool) -> dict[str, Any] | None:
    if part.take("thought") is True:
        part.lose_all("thought", "no other provider can read it; leave it out", is_content=True)
        return None
    text = part.text("text")
    read = {"type": "text", "text": text} if text else None if only_text else _read_data(translation, part)
    part.close()
    return read


def _read_data(translation: Translation, part: Given) -> dict[str, Any] | None:
    if (data := part.member("inlineData")) is not None:
        return _read_blob(part, data)
    if (file := part.member("fileData")) is not None:
        return _read_file(part, file)
    if (call := part.member("functionCall")) is not None:
        name = call.text("name") or ""
        call_id = translation.calls.made(name, call.text("id"))
        read = {"type": "tool_call", "id": call_id, "name": name, "arguments": call.kept("args") or {}}
        call.close({"willContinue": (False,)})
        return read
    if (response := part.member("functionResponse")) is not None:
        return _read_result(translation, response)
    return None


def _read_blob(part: Given, data: Given) -> dict[str, Any] | None:
    media_type = data.text("mimeType") or ""
    read = inline(media_type, data.text("data") or "")
    if read is None:
        part.lose_all(f"inlineData {media_type}".rstrip(), "send an image, a PDF, or its text", is_content=True)
        return None
    if read["type"] == "document" and (name := data.text("displayName")):
        read["filename"] = name
    data.close()
    return read


def _read_file(part: Given, file: Given) -> dict[str, Any] | None:
    url, media_type = file.text("fileUri") or "", plain_media_type(file.text("mimeType") or "")
    kind = kind_of_type(media_type)
    if kind is None or not url or url.startswith(_OWN_FILES):
        part.lose_all("fileData", "others read images and PDFs by https URLs that are open to all", is_content=True)
        return None
    file.close()
    return {"type": kind, "source_type": "url", "media_type": media_type, "data": url}


def _read_result(translation: Translation, response: Given) -> dict[str, Any]:
    """What a tool returned: the object as JSON, and what was returned beside it as parts."""
    name, call_id = response.text("name") or "", response.text("id")
    returned = msgspec.json.encode(response.kept("response") or {}).decode()
    media = [(each.path, _read_part(translation, each, False)) for each in response.members("parts")]
    parts: Parts = [(path, part) for path, part in media if part is not None]
    content = outcome([(response.path, {"type": "text", "text": returned}), *parts]) if parts else returned
    response.close({"willContinue": (False,), "scheduling": ("SCHEDULING_UNSPECIFIED",)})
    return {
        "type": "tool_result",
        "tool_call_id": translation.calls.answered(name, call_id),
        "content": content,
    } | ({"name": name} if name else {})
