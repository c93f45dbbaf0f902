"""What is wrong with a row's params. The service checks a row only when the row runs."""

from typing import Any

#: The version that removed sampling parameters, and documents in assistant turns.
_NEW_VERSION = "2026-10-21"
_REMOVED = ("temperature", "top_p", "top_k")
_REQUIRED = ("model", "max_tokens", "messages")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def problem_of(params: dict[str, Any], version: str) -> str | None:
    """The first problem of a row in the words of the API, or None."""
    return _problem_of_names(params, version) or _problem_of_values(params) or _problem_of_messages(params, version)


def _problem_of_names(params: dict[str, Any], version: str) -> str | None:
    for name in _REQUIRED:
        if name not in params:
            return f"{name}: Field required"
    if version >= _NEW_VERSION:
        for name in _REMOVED:
            if name in params:
                return f"{name}: Extra inputs are not permitted"
    return None


def _problem_of_values(params: dict[str, Any]) -> str | None:
    if params.get("stream"):
        return "stream: Streaming is not supported in batches"
    if not isinstance(params["max_tokens"], int) or params["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    effort = (params.get("output_config") or {}).get("effort")
    if effort is not None and effort not in _EFFORTS:
        return "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"
    return None


def _problem_of_messages(params: dict[str, Any], version: str) -> str | None:
    messages = params["messages"]
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    problems = (_problem_of_message(number, message, version) for number, message in enumerate(messages))
    return next((problem for problem in problems if problem), None)


def _problem_of_message(number: int, message: dict[str, Any], version: str) -> str | None:
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant"):
        return f"messages.{number}.role: Input should be 'user' or 'assistant'"
    if number == 0 and role != "user":
        return 'messages: first message must use the "user" role'
    kinds = [block.get("type") for block in content] if isinstance(content, list) else []
    if "document" in kinds and role == "assistant" and version >= _NEW_VERSION:
        return f"messages.{number}: document blocks are not permitted in assistant turns"
    if "tool_result" in kinds and kinds != sorted(kinds, key="tool_result".__ne__):
        return f"messages.{number}: tool_result blocks must come before other content"
    return None
