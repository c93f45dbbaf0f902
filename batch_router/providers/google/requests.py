"""Unified requests as the Gemini API's JSON. Pure."""

import re

import msgspec

from ...core import (
    Content,
    DocumentContent,
    GenerationConfig,
    ImageContent,
    NamedTool,
    TextContent,
    ThinkingContent,
    ToolCallContent,
    ToolResultContent,
    UnifiedMessage,
    UnifiedRequest,
)
from ...core.media import plain_media_type
from ...exceptions import ValidationError
from .schema import SCHEMAS

_ROLES = {"user": "user", "assistant": "model"}

# ai.google.dev/gemini-api/docs/thinking: models before Gemini 3 take a number of tokens, and refuse a level; later ones
# take a level. The numbers are those of Google's own endpoint for OpenAI's `reasoning_effort` (.../docs/openai).
_BUDGET_MODEL = re.compile(r"(models/)?gemini-[12]\.")
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}

# ai.google.dev/gemini-api/docs/thought-signatures: Gemini 3 refuses a call without the signature that came with it,
# or this word in its place, where a call comes from another provider.
_NO_SIGNATURE = "skip_thought_signature_validator"

_TOOL_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


class _Config(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """`generationConfig`; what is left at None is not sent."""

    temperature: float | None = None
    max_output_tokens: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_mime_type: str | None = None
    response_schema: msgspec.Raw | None = None
    response_json_schema: msgspec.Raw | None = None
    thinking_config: dict[str, object] | None = None


class ContentRequest(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """A GenerateContentRequest; the job names the model."""

    contents: list[dict[str, object]]
    system_instruction: dict[str, object] | None = None
    generation_config: _Config | None = None
    tools: list[dict[str, object]] | None = None
    tool_config: dict[str, object] | None = None


def encode_request(request: UnifiedRequest) -> ContentRequest | dict[str, object]:
    """The request; `provider_kwargs` last, its `generationConfig` key by key.

    Raises:
        ValidationError: a tool's result whose call is not known, or thinking that cannot be turned off.
    """
    body = ContentRequest(contents=_encode_messages(request))
    if request.system_prompt:
        body.system_instruction = {"parts": [{"text": request.system_text}]}
    if request.generation_config is not None:
        _encode_config(body, request.generation_config, request.model or "")
    if not request.provider_kwargs:
        return body
    plain: dict[str, object] = msgspec.to_builtins(body, builtin_types=(msgspec.Raw,))
    ours, own = (source.get("generationConfig") for source in (plain, request.provider_kwargs))
    merged = plain | request.provider_kwargs
    if isinstance(own, dict) and isinstance(ours, dict):
        # Most of what a user may add belongs in here: it must not cost the `max_tokens` that is in here too.
        merged["generationConfig"] = ours | own
    return merged


def encode_embedding(request: UnifiedRequest) -> dict[str, object]:
    """An EmbedContentRequest: one turn of text; `provider_kwargs` (`taskType`, `outputDimensionality`) last."""
    if request.system_prompt:
        raise ValidationError("system_prompt: embeddings have none; put it in front of the text")
    if len(request.messages) != 1:
        raise ValidationError("messages: an embedding is of one message; make a request of each")
    (message,) = request.messages
    body: dict[str, object] = {"content": {"parts": _encode_parts(message, {}, signed=True)}}
    return body | request.provider_kwargs


def _encode_messages(request: UnifiedRequest) -> list[dict[str, object]]:
    contents: list[dict[str, object]] = []
    names: dict[str, str] = {}
    signed = is_before_3(request.model or "")
    for message in request.messages:
        parts = _encode_parts(message, names, signed=signed)
        contents.append({"role": _ROLES[message.role], "parts": parts, **message.provider_kwargs})
    return contents


def _encode_parts(message: UnifiedMessage, names: dict[str, str], *, signed: bool) -> list[dict[str, object]]:
    """The parts of a turn.

    Args:
        message: the turn.
        names: tool call id -> the tool's name, of the calls so far; those of this turn are added.
        signed: whether calls need no signature.
    """
    if isinstance(message.content, str):
        return [{"text": message.content}]
    parts: list[dict[str, object]] = []
    for part in message.content:
        encoded = _encode_part(part, names)
        if isinstance(part, ToolCallContent):
            if part.signature is not None:
                encoded["thoughtSignature"] = part.signature
            elif not signed:
                encoded["thoughtSignature"] = _NO_SIGNATURE
            signed = True  # of several calls at once the first has it
        parts.append(encoded)
    return parts


def _encode_part(part: Content, names: dict[str, str]) -> dict[str, object]:
    match part:
        case TextContent():
            return {"text": part.text}
        case ThinkingContent():
            seal = {} if part.signature is None else {"thoughtSignature": part.signature}
            # The seal of a text stands without one: see `_thoughts` in response.py.
            return {"text": part.text, "thought": True, **seal} if part.text else {"text": "", **seal}
        case ImageContent() | DocumentContent():
            if part.source_type == "base64":
                return _inline(part)
            # `image/*` means unknown; then the service finds out the type.
            kind = {} if part.media_type.endswith("/*") else {"mimeType": part.media_type}
            return {"fileData": {"fileUri": part.data, **kind}}
        case ToolCallContent():
            names[part.id] = part.name
            return {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
    return _encode_result(part, names)


def _inline(part: ImageContent | DocumentContent) -> dict[str, object]:
    return {"inlineData": {"mimeType": plain_media_type(part.media_type), "data": part.data}}


def _encode_result(part: ToolResultContent, names: dict[str, str]) -> dict[str, object]:
    name = part.name or names.get(part.tool_call_id)
    if name is None:
        raise ValidationError(
            f"messages: the result of tool call {part.tool_call_id!r} needs the tool's name; "
            "give its `name`, or put the call itself in an earlier turn"
        )
    content = [TextContent(text=part.content)] if isinstance(part.content, str) else part.content
    text = "\n".join(each.text for each in content if isinstance(each, TextContent))
    response = {"error": text} if part.is_error else _object_of(text)
    encoded: dict[str, object] = {"id": part.tool_call_id, "name": name, "response": response}
    # ai.google.dev/gemini-api/docs/function-calling, "multimodal function responses": since Gemini 3.
    media = [_inline(each) for each in content if not isinstance(each, TextContent)]
    return {"functionResponse": encoded | ({"parts": media} if media else {})}


def _object_of(content: str) -> dict[str, object]:
    """What a tool returned, as the object that the service wants."""
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        value = content
    return value if isinstance(value, dict) else {"result": value}


def _encode_config(body: ContentRequest, config: GenerationConfig, model: str) -> None:
    own = _Config(
        temperature=config.temperature,
        max_output_tokens=config.max_tokens,
        top_p=config.top_p,
        top_k=config.top_k,
        stop_sequences=config.stop_sequences,
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        seed=config.seed,
    )
    if config.output_schema is not None:
        own.response_mime_type = "application/json"
        form = SCHEMAS.output.of(config.output_schema)
        if form.member == "responseSchema":
            own.response_schema = form.value
        else:
            own.response_json_schema = form.value
    elif config.json_object:
        own.response_mime_type = "application/json"
    if config.reasoning_effort is not None:
        own.thinking_config = _thinking(config.reasoning_effort, model)
    if own != _NOTHING:
        body.generation_config = own
    if config.tools is not None:
        body.tools = [{"functionDeclarations": [SCHEMAS.tool.of(tool).value for tool in config.tools]}]
    if (calling := _calling(config)) is not None:
        body.tool_config = {"functionCallingConfig": calling}


_NOTHING = _Config()


def _thinking(effort: str, model: str) -> dict[str, object]:
    return {"thinkingBudget": _BUDGETS[effort]} if is_before_3(model) else {"thinkingLevel": effort.upper()}


def is_before_3(model: str) -> bool:
    """Whether a model is older than Gemini 3: it takes budgets, and no media in the results of tools."""
    return _BUDGET_MODEL.match(model) is not None


def _calling(config: GenerationConfig) -> dict[str, object] | None:
    choice = config.tool_choice
    if isinstance(choice, NamedTool):
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    if choice in (None, "auto") and any(tool.strict for tool in config.tools or ()):
        return {"mode": "VALIDATED"}  # as `auto`, and the arguments fit the schema
    return None if choice is None else {"mode": _TOOL_MODES[choice]}
