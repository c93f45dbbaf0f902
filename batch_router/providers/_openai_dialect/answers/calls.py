"""Calls of the user's tools."""

from typing import Any

import msgspec


class Function(msgspec.Struct, gc=False):
    """A function, and what the model wrote as its arguments."""

    name: str | None = None
    arguments: Any = None


class _Custom(msgspec.Struct, gc=False):
    name: str | None = None
    input: Any = None


class Call(msgspec.Struct, gc=False):
    """A call in a chat completion: of a function, or of a tool whose input is a text."""

    id: str | None = None
    function: Function | None = None
    custom: _Custom | None = None


def unified_call(call: Call) -> dict[str, Any]:
    """The call in our words."""
    if call.custom is not None:
        return {"id": call.id, "name": call.custom.name, "arguments": call.custom.input}
    return function_call(call.id, call.function or Function())


def function_call(call_id: str | None, function: Function) -> dict[str, Any]:
    """The call of a function in our words."""
    return {"id": call_id, "name": function.name, "arguments": read_arguments(function.arguments)}


def read_arguments(arguments: Any) -> Any:
    """A tool call's arguments: the object that their text holds, or what the model wrote where it is none."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments
