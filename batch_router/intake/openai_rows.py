"""Bodies of OpenAI's endpoints as unified requests: a batch file for OpenAI can go to any provider."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..core import Endpoint
from ..exceptions import UnsupportedContentTypeError, ValidationError
from ..providers._openai_dialect.answers.calls import read_arguments

#: Name in a chat body -> name in `GenerationConfig`, where the value is the same.
_CHAT_CONFIG = {
    "temperature": "temperature",
    "max_completion_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "top_p": "top_p",
    "top_k": "top_k",  # vLLM
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "reasoning_effort": "reasoning_effort",
}
_RESPONSES_CONFIG = {"temperature": "temperature", "max_output_tokens": "max_tokens", "top_p": "top_p"}


def unified_from_chat(custom_id: Any, body: dict[str, Any]) -> dict[str, Any]:
    """A unified request, as plain data, from the body of `/v1/chat/completions`; unknown keys become `openai_kwargs`.

    Raises:
        ValidationError: the body has something that a unified request cannot hold.
    """
    config, rest = _known(body, _CHAT_CONFIG, ("model", "messages"))
    if (stop := rest.pop("stop", None)) is not None:
        config["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if (tools := rest.pop("tools", None)) is not None:
        config["tools"] = [_tool(tool, _nested_function(tool)) for tool in _listed(tools, "tools")]
    if (choice := rest.pop("tool_choice", None)) is not None:
        config["tool_choice"] = _tool_choice(choice, _nested_function(choice))
    match rest.get("response_format"):
        case {"type": "json_schema", "json_schema": dict(schema)}:
            config["output_schema"] = _without_nulls(schema)
            del rest["response_format"]
        case {"type": "text"}:
            del rest["response_format"]
    messages = [_chat_turn(message) for message in _listed(body.get("messages"), "messages")]
    return _request(custom_id, body, Endpoint.CHAT, _merge_results(messages), config, rest)


def unified_from_responses(custom_id: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The same from the body of `/v1/responses`."""
    config, rest = _known(body, _RESPONSES_CONFIG, ("model", "input", "instructions"))
    if (tools := rest.pop("tools", None)) is not None:
        config["tools"] = [_tool(tool, tool) for tool in _listed(tools, "tools")]
    if (choice := rest.pop("tool_choice", None)) is not None:
        config["tool_choice"] = _tool_choice(choice, choice)
    match rest.get("reasoning"):
        case {"effort": str(effort), **others} if not others:
            config["reasoning_effort"] = effort
            del rest["reasoning"]
    match rest.get("text"):
        case {"format": {"type": "json_schema", **schema}, **others} if not others:
            config["output_schema"] = _without_nulls(schema)
            del rest["text"]
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else _listed(given, "input")
    request = _request(
        custom_id, body, Endpoint.RESPONSES, _merge_results([_response_turn(item) for item in items]), config, rest
    )
    return request | ({"system_prompt": body["instructions"]} if body.get("instructions") else {})


def unified_from_embeddings(custom_id: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The same from the body of `/v1/embeddings`."""
    _, rest = _known(body, {}, ("model", "input"))
    text = body.get("input")
    if not isinstance(text, str):
        raise ValidationError("body.input: must be one text; write a row for each of several")
    return _request(custom_id, body, Endpoint.EMBEDDINGS, [{"role": "user", "content": text}], {}, rest)


#: The `url` of a row -> what its body means.
READERS: dict[str, Callable[[Any, dict[str, Any]], dict[str, Any]]] = {
    "/v1/chat/completions": unified_from_chat,
    "/v1/responses": unified_from_responses,
    "/v1/embeddings": unified_from_embeddings,
}


def _request(
    custom_id: Any,
    body: dict[str, Any],
    endpoint: Endpoint,
    messages: list[Any],
    config: dict[str, Any],
    rest: dict[str, Any],
) -> dict[str, Any]:
    return {
        "custom_id": custom_id,
        "model": body.get("model"),
        "endpoint": endpoint.value if endpoint is not Endpoint.CHAT else None,
        "messages": messages,
        "generation_config": config or None,
        "openai_kwargs": rest or None,
    }


def _known(
    body: dict[str, Any], names: dict[str, str], handled: Iterable[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    if not body.get("stream"):
        handled = (*handled, "stream")  # `false` asks for what a batch does in any case
    config = {names[key]: value for key, value in body.items() if key in names and value is not None}
    return config, {key: value for key, value in body.items() if key not in names and key not in handled}


def _listed(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValidationError(f"body.{name} must be a list")
    return value


def _without_nulls(value: dict[Any, Any]) -> dict[str, Any]:
    return {key: each for key, each in value.items() if each is not None}


# --- tools ----------------------------------------------------------------------------------------------------------


def _nested_function(value: Any) -> Any:
    return value.get("function") if isinstance(value, dict) else None


def _tool(tool: Any, function: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(function, dict):
        kind = tool.get("type") if isinstance(tool, dict) else tool
        raise ValidationError(f"body.tools: a tool of type {kind!r} is not supported; only functions are")
    return {key: value for key, value in _without_nulls(function).items() if key != "type"}


def _tool_choice(choice: Any, named: Any) -> Any:
    return {"name": named.get("name")} if isinstance(named, dict) else choice


def _merge_results(turns: list[Any]) -> list[Any]:
    """Turns that hold nothing but tools' results, one after the other, as one turn: they answer one turn's calls."""
    merged: list[Any] = []
    for turn in turns:
        if merged and _only_results(merged[-1]) and _only_results(turn):
            merged[-1] = merged[-1] | {"content": merged[-1]["content"] + turn["content"]}
        else:
            merged.append(turn)
    return merged


def _only_results(turn: Any) -> bool:
    parts = turn.get("content") if isinstance(turn, dict) else None
    return isinstance(parts, list) and all(isinstance(p, dict) and p.get("type") == "tool_result" for p in parts)


# --- chat completions -----------------------------------------------------------------------------------------------


def _chat_turn(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    if message.get("role") == "tool":
        outcome = "".join(_texts(message.get("content")))
        result = {"type": "tool_result", "tool_call_id": message.get("tool_call_id"), "content": outcome}
        return {"role": "user", "content": [result]}
    content = message.get("content")
    parts: Any = [_chat_part(part) for part in content] if isinstance(content, list) else content
    calls = list(_chat_calls(message.get("tool_calls")))
    if calls:
        own = parts if isinstance(parts, list) else [{"type": "text", "text": parts}] if parts else []
        parts = own + calls
    handled = ("role", "content", "tool_calls")
    extra = {key: value for key, value in message.items() if key not in handled and value is not None}
    return {"role": message.get("role"), "content": parts} | ({"provider_kwargs": extra} if extra else {})


def _chat_calls(calls: Any) -> Iterator[dict[str, Any]]:
    for call in calls or ():
        function = _nested_function(call)
        if not isinstance(function, dict):
            raise UnsupportedContentTypeError("messages: a tool call must have a `function`")
        yield _call(call.get("id"), function)


def _call(call_id: Any, function: dict[str, Any]) -> dict[str, Any]:
    arguments = read_arguments(function.get("arguments") or "{}")
    return {"type": "tool_call", "id": call_id, "name": function.get("name"), "arguments": arguments}


def _texts(content: Any) -> list[str]:
    parts = content if isinstance(content, list) else [content]
    return [str(part.get("text", "")) if isinstance(part, dict) else str(part or "") for part in parts]


def _chat_part(part: Any) -> Any:
    match part:
        case {"type": "text"}:
            return part
        case {"type": "image_url", "image_url": {"url": str(url), **extra}}:
            return {"type": "image", **_image(url), **extra}
        case {"type": "file", "file": {"file_data": str(url), **extra}} if document := _data(url):
            return {"type": "document", **document, **extra}
    raise _unsupported_part(part)


# --- responses ------------------------------------------------------------------------------------------------------


def _response_turn(item: Any) -> Any:
    match item:
        case {"type": "function_call", "call_id": call_id}:
            return {"role": "assistant", "content": [_call(call_id, item)]}
        case {"type": "function_call_output", "call_id": call_id, "output": output}:
            content = output if isinstance(output, str) else "".join(_texts(output))
            result = {"type": "tool_result", "tool_call_id": call_id, "content": content}
            return {"role": "user", "content": [result]}
        case {"role": role, "content": content}:
            read: Any = [_response_part(part) for part in content] if isinstance(content, list) else content
            return {"role": role, "content": read}
    kind = item.get("type") if isinstance(item, dict) else item
    raise UnsupportedContentTypeError(f"body.input: an item of type {kind!r} is not supported")


def _response_part(part: Any) -> Any:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url), **extra}:
            return {"type": "image", **_image(url), **({"detail": extra["detail"]} if extra.get("detail") else {})}
        case {"type": "input_file", "file_data": str(url), **extra} if document := _data(url):
            return {"type": "document", **document, **extra}
        case {"type": "input_file", "file_url": str(url), **extra}:
            return {"type": "document", "source_type": "url", "media_type": "application/pdf", "data": url, **extra}
    raise _unsupported_part(part)


# --- parts of both --------------------------------------------------------------------------------------------------


def _unsupported_part(part: Any) -> UnsupportedContentTypeError:
    kind = part.get("type") if isinstance(part, dict) else part
    return UnsupportedContentTypeError(f"a content part of type {kind!r} is not supported")


def _image(url: str) -> dict[str, str]:
    return _data(url) or {"source_type": "url", "media_type": "image/*", "data": url}


def _data(url: str) -> dict[str, str] | None:
    """What a `data:` URL holds; None for any other."""
    head, comma, data = url.partition(";base64,")
    if not comma or not head.startswith("data:"):
        return None
    return {"source_type": "base64", "media_type": head.removeprefix("data:"), "data": data}
