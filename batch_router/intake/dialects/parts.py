"""Messages and their parts, as all dialects have them."""

from collections.abc import Callable
from typing import Any

from ..losses import Loss
from .given import Given
from .translation import Translation

#: Parts as plain data, each with its path.
Parts = list[tuple[str, dict[str, Any]]]


def read_content(given: Given, name: str, read_part: Callable[[Given], dict[str, Any] | None]) -> Parts:
    """The content of a message or of a tool's result: a text, or parts that the dialect's reader takes; empty: none."""
    where, content = given.at(name), given.take(name)
    if isinstance(content, str):
        return [(where, {"type": "text", "text": content})] if content else []
    if content is None:
        return []
    if not isinstance(content, list):
        given.lose(name, "give a text, or a list of parts")
        return []
    inner = [given.inner(part, f"{where}[{number}]") for number, part in enumerate(content)]
    found = [(part.path, read_part(part)) for part in inner if part is not None]
    return [(path, part) for path, part in found if part is not None]


def as_turn(given: Given, parts: Parts) -> str | Parts:
    """The content of a turn, which is a text where that is all that the row has."""
    if len(parts) == 1 and parts[0][0] == given.at("content") and parts[0][1].keys() == {"type", "text"}:
        return str(parts[0][1]["text"])
    return parts


def outcome(content: Parts) -> str | list[dict[str, Any]]:
    """The content of a tool's result: a text where it is nothing else."""
    parts = [part for _, part in content]
    if all(part["type"] == "text" and "cache_control" not in part for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def read_system(translation: Translation, message: Given, role: str, parts: Parts) -> None:
    """A message of the system or the developer: in front it is the system prompt, elsewhere it is lost."""
    if translation.begun:
        message.lose_all(role, "a system prompt stands in front of the first turn: move it there")
        return
    texts: list[Any] = []
    for path, part in parts:
        if part["type"] != "text":
            translation.losses.append(Loss(path, part["type"], "a system prompt has only texts", is_content=True))
        else:
            texts.append(part if "cache_control" in part else part["text"])
    translation.add_system(message.path, texts)


def take_marker(given: Given, read: dict[str, Any]) -> dict[str, Any]:
    """Plain data with the cache marker of the object that it was read from, if that has one."""
    marker = given.kept("cache_control")
    return read if marker is None else read | {"cache_control": marker}


def name_of(kind: object, otherwise: str) -> str:
    """The name under which something of a kind is lost."""
    return kind if isinstance(kind, str) and kind else otherwise
