"""The items of a response: messages, thoughts, calls of the user's tools, and calls that the service made itself."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from .calls import Function, function_call
from .images import image_at, image_of

_CALL = "_call"
# What a call says that has neither arguments nor an input.
_TASKS = ("action", "actions", "operation", "pending_safety_checks")


class Part(msgspec.Struct, gc=False):
    """A part of a message, or of a thought."""

    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None


class _Environment(msgspec.Struct, gc=False):
    type: str | None = None


class _Output(msgspec.Struct, gc=False):
    url: str | None = None  # of an image that a program made


class Item(msgspec.Struct, gc=False):
    """An item of whatever type."""

    type: str | None = None
    id: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    input: Any = None
    action: Any = None
    actions: Any = None
    operation: Any = None
    pending_safety_checks: Any = None
    environment: _Environment | None = None
    result: str | None = None
    output_format: str | None = None
    outputs: list[_Output] | None = None


def parts_of(items: list[Item]) -> list[Part]:
    """The parts of all messages. An item whose type cannot be read is one if it is no thought."""
    messages = [item for item in items if item.type == "message" or (item.type is None and item.summary is None)]
    return [part for item in messages for part in item.content or ()]


def thoughts_of(items: list[Item]) -> list[dict[str, Any]]:
    """The thoughts, in the form of `ThinkingContent`."""
    return [_thought(item) for item in items if item.type == "reasoning"]


def _thought(item: Item) -> dict[str, Any]:
    texts = [part.text for part in [*(item.summary or ()), *(item.content or ())] if part.text]
    seals = {"id": item.id, "data": item.encrypted_content}
    return {"type": "thinking", "text": "\n".join(texts)} | {name: seal for name, seal in seals.items() if seal}


def tool_calls_of(items: list[Item]) -> list[dict[str, Any]]:
    """The calls that the user is to carry out."""
    return [_tool_call(item) for item in items if _is_call(item) and not _is_carried_out(item)]


def server_tools_of(items: list[Item]) -> dict[str, int]:
    """How often the service ran each of its own tools."""
    return dict(Counter(_kind(item) for item in items if _is_call(item) and _is_carried_out(item)))


def images_of(items: list[Item]) -> Iterator[dict[str, Any]]:
    """The images that the service's tools made."""
    for item in items:
        if item.type == "image_generation_call" and item.result:
            yield image_of(item.result, item.output_format)
        for output in item.outputs or ():
            if output.url:
                yield image_at(output.url)


def _is_call(item: Item) -> bool:
    return item.type is not None and item.type.endswith(_CALL)


def _kind(item: Item) -> str:
    return (item.type or "").removesuffix(_CALL)


def _is_carried_out(item: Item) -> bool:
    """Whether the service ran the call: a call that waits for an output has a `call_id` that the output has to name."""
    if item.type in ("function_call", "custom_tool_call"):
        return False
    in_container = item.environment is not None and item.environment.type == "container_reference"
    return item.call_id is None or in_container


def _tool_call(item: Item) -> dict[str, Any]:
    if item.type == "custom_tool_call":
        return {"id": item.call_id, "name": item.name, "arguments": item.input}
    if item.type == "function_call" or item.arguments is not None:
        return function_call(item.call_id, Function(item.name or _kind(item), item.arguments))
    task = {name: getattr(item, name) for name in _TASKS if getattr(item, name) is not None}
    return {"id": item.call_id, "name": _kind(item), "arguments": task}
