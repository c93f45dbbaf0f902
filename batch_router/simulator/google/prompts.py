"""What a request asks."""

from typing import Any


def prompt_of(request: dict[str, Any]) -> str:
    """The texts of the last turn."""
    contents = request.get("contents")
    last = contents[-1] if isinstance(contents, list) and contents else contents or request.get("content") or {}
    parts = last.get("parts") or [] if isinstance(last, dict) else []
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)
