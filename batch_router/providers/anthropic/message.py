"""A message, the answer to a row, to a result."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from ...core import FinishReason, ResultStatus, UnifiedResult, Usage
from .._rows.shapes import Count, Shape, count_of

# Members of an enumeration are slow to find.
_SUCCEEDED, _OTHER = ResultStatus.SUCCEEDED, FinishReason.OTHER
_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}
# Calls that the service ran: of its own tools, and of tools on MCP servers.
_SERVER_CALLS = ("server_tool_use", "mcp_tool_use")
# The kinds of iterations whose tokens the totals leave out. The totals have those of all messages, and a fallback that
# another model declined is not charged.
_UNCOUNTED = ("compaction", "advisor_message")


class _Block(msgspec.Struct, gc=False):
    """A part of the answer, of whatever type."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    citations: list[dict[str, Any]] | None = None
    content: Any = None


class _StopDetails(msgspec.Struct, gc=False):
    explanation: str | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: Count | None = None


class _Tokens(msgspec.Struct, gc=False):
    """Of one iteration of the model, or of all."""

    type: str | None = None
    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens: Count | None = None


class _Usage(_Tokens):
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: dict[str, Any] | None = None
    iterations: list[_Tokens] | None = None


class _Message(msgspec.Struct, gc=False):
    """The parts of a message that a result is made of."""

    content: list[_Block] | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None


_messages = Shape(_Message)


def decode_message(custom_id: str, body: msgspec.Raw) -> UnifiedResult:
    """The result that a message holds. A block whose type cannot be read is a text if it has one."""
    message = _messages.read(body)
    blocks = message.content or []
    # Most answers are one text.
    others = [] if len(blocks) == 1 and blocks[0].type == "text" and not blocks[0].citations else blocks
    raw = message.stop_reason
    return UnifiedResult(
        custom_id=custom_id,
        status=_SUCCEEDED,
        text=_text(blocks) if others or not blocks else blocks[0].text,
        tool_calls=_tool_calls(others) if others else [],
        reasoning="\n\n".join(block.thinking for block in others if block.thinking) or None if others else None,
        thoughts=_thoughts(others) if others else [],
        citations=_citations(others) if others else [],
        refusal=message.stop_details.explanation if message.stop_details else None,
        finish_reason=_FINISH_REASONS.get(raw, _OTHER) if raw else None,
        finish_reason_raw=raw,
        usage=_unified_usage(message.usage, others) if message.usage else None,
        model=message.model,
        response=body,
    )


def _text(blocks: list[_Block]) -> str | None:
    texts = [block.text for block in blocks if block.text is not None and block.type in ("text", None)]
    return "".join(texts) if texts else None


def _tool_calls(blocks: list[_Block]) -> list[dict[str, Any]]:
    calls = [block for block in blocks if block.type == "tool_use"]
    return [{"id": call.id, "name": call.name, "arguments": call.input} for call in calls]


def _thoughts(blocks: list[_Block]) -> list[dict[str, Any]]:
    return [_thought(block) for block in blocks if block.type in ("thinking", "redacted_thinking")]


def _thought(block: _Block) -> dict[str, Any]:
    """In the form of `ThinkingContent`; the service seals each, and encrypts some."""
    seals = {"signature": block.signature, "data": block.data}
    thought = {"type": "thinking", "text": block.thinking or ""}
    return thought | {name: seal for name, seal in seals.items() if seal}


def _citations(blocks: list[_Block]) -> list[dict[str, Any]]:
    """The sources of the texts, and what the service's web searches found."""
    found = [block.content for block in blocks if block.type == "web_search_tool_result"]
    pages = [page for content in found if isinstance(content, list) for page in content if isinstance(page, dict)]
    return [citation for block in blocks for citation in block.citations or ()] + pages


def _unified_usage(usage: _Usage, blocks: list[_Block]) -> Usage:
    """Here the input is counted in three parts; everywhere else it is one number, with the cached tokens in it."""
    tokens = _with_iterations(usage) if usage.iterations else usage
    details = usage.output_tokens_details
    written, read, fresh = tokens.cache_creation_input_tokens, tokens.cache_read_input_tokens, tokens.input_tokens
    return Usage(
        input_tokens=None if fresh is None else fresh + (written or 0) + (read or 0),
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=tokens.output_tokens,
        reasoning_tokens=details.thinking_tokens if details else None,
        server_tools=_server_tools(usage, blocks) if blocks or usage.server_tool_use else msgspec.UNSET,
    )


def _with_iterations(usage: _Usage) -> _Tokens:
    """The tokens of all iterations that are charged."""
    charged = [usage, *(each for each in usage.iterations or () if each.type in _UNCOUNTED)]
    return _Tokens(
        input_tokens=_sum(each.input_tokens for each in charged),
        cache_creation_input_tokens=_sum(each.cache_creation_input_tokens for each in charged),
        cache_read_input_tokens=_sum(each.cache_read_input_tokens for each in charged),
        output_tokens=_sum(each.output_tokens for each in charged),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _server_tools(usage: _Usage, blocks: list[_Block]) -> dict[str, int] | msgspec.UnsetType:
    """How often each tool ran: as the service counts it for its bill (`web_search_requests`), else by the calls."""
    calls = Counter(block.name for block in blocks if block.type in _SERVER_CALLS and block.name)
    billed = {name.removesuffix("_requests"): count_of(count) for name, count in (usage.server_tool_use or {}).items()}
    return dict(calls) | {name: count for name, count in billed.items() if count} or msgspec.UNSET
