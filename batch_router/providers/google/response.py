"""A response, the answer to a row, to a result."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ...core import FinishReason, ResultStatus, UnifiedResult, Usage
from .._rows.shapes import Count, Shape, count_of

# Members of an enumeration are slow to find.
_SUCCEEDED, _OTHER = ResultStatus.SUCCEEDED, FinishReason.OTHER
_FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}


class _Call(msgspec.Struct, gc=False):
    name: str | None = None
    id: str | None = None
    args: Any = None


class _Blob(msgspec.Struct, rename="camel", gc=False):
    mime_type: str | None = None
    data: str | None = None


class _Part(msgspec.Struct, rename="camel", gc=False):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None
    inline_data: _Blob | None = None
    executable_code: dict[str, Any] | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Grounding(msgspec.Struct, rename="camel", gc=False):
    grounding_chunks: list[dict[str, Any]] | None = None
    web_search_queries: list[str] | None = None
    image_search_queries: list[str] | None = None


class _Citations(msgspec.Struct, rename="camel", gc=False):
    citations: list[dict[str, Any]] | None = None
    citation_sources: list[dict[str, Any]] | None = None  # v1beta


class _UrlContext(msgspec.Struct, rename="camel", gc=False):
    url_metadata: list[dict[str, Any]] | None = None


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    content: _Content | None = None
    finish_reason: str | None = None
    grounding_metadata: _Grounding | None = None
    citation_metadata: _Citations | None = None
    url_context_metadata: _UrlContext | None = None


class _Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Usage(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None


class _Embedding(msgspec.Struct, gc=False):
    values: list[float] | None = None


class _Response(msgspec.Struct, rename="camel", gc=False):
    """The parts of a response that a result is made of."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None
    embedding: _Embedding | None = None
    embeddings: list[_Embedding] | None = None
    token_count: str | int | None = None  # of embeddings, in the place of `usageMetadata`


_Counts = dict[str, int] | msgspec.UnsetType
_responses = Shape(_Response)


def decode_response(custom_id: str, body: msgspec.Raw) -> UnifiedResult:
    """The result that a response holds. Of several candidates the first is the text; `response` has them all."""
    response = _responses.read(body)
    if not response.candidates:
        return _decode_other(custom_id, response, body)
    candidate = response.candidates[0]
    parts = (candidate.content.parts if candidate.content else None) or []
    # Most answers are one text.
    others = [] if len(parts) == 1 and _is_plain(parts[0]) else parts
    calls = _tool_calls(others) if others else []
    raw = candidate.finish_reason
    reason = _FINISH_REASONS.get(raw, _OTHER) if raw else None
    if calls and raw == "STOP":
        reason = FinishReason.TOOL_CALLS  # the service has no word of its own for it
    return UnifiedResult(
        custom_id=custom_id,
        status=_SUCCEEDED,
        text=_join(part.text for part in parts if not part.thought) if others or not parts else parts[0].text,
        tool_calls=calls,
        reasoning=_join(part.text for part in others if part.thought) if others else None,
        thoughts=list(_thoughts(others)) if others else [],
        images=_images(others) if others else [],
        citations=_citations(candidate) if candidate.grounding_metadata or candidate.citation_metadata else [],
        finish_reason=reason,
        finish_reason_raw=raw,
        usage=_unified_usage(response.usage_metadata, _server_tools(candidate, others)),
        model=response.model_version,
        request_id=response.response_id,
        response=body,
    )


def _decode_other(custom_id: str, response: _Response, body: msgspec.Raw) -> UnifiedResult:
    """The result of embeddings, or of a prompt that was blocked.

    A blocked prompt is an answer without text: the service did its work, the same request would be blocked again, and
    an answer that is blocked half-way is not an error either. `finish_reason` is `content_filter` for both, and
    `refusal` says why.
    """
    feedback = response.prompt_feedback or _Feedback()
    blocked = feedback.block_reason
    embeddings = [each.values or [] for each in response.embeddings or filter(None, [response.embedding])]
    tokens = count_of(response.token_count)
    return UnifiedResult(
        custom_id=custom_id,
        status=_SUCCEEDED,
        refusal=feedback.block_reason_message or f"the prompt was blocked: {blocked}" if blocked else None,
        finish_reason=FinishReason.CONTENT_FILTER if blocked else None,
        finish_reason_raw=blocked,
        usage=_unified_usage(response.usage_metadata) if tokens is None else Usage(input_tokens=tokens),
        model=response.model_version,
        request_id=response.response_id,
        response=body,
        embedding=(embeddings[0] if embeddings else None) or msgspec.UNSET,
        embeddings=embeddings if len(embeddings) > 1 else msgspec.UNSET,
    )


def _is_plain(part: _Part) -> bool:
    return not (
        part.thought or part.thought_signature or part.function_call or part.inline_data or part.executable_code
    )


def _join(texts: Iterable[str | None]) -> str | None:
    found = [text for text in texts if text is not None]
    return "".join(found) if found else None


def _tool_calls(parts: list[_Part]) -> list[dict[str, Any]]:
    """The calls. One to which the service gave no id gets one, for its result must name it."""
    sealed = [(part.function_call, part.thought_signature) for part in parts if part.function_call is not None]
    return [
        {"id": call.id or f"call_{number}", "name": call.name, "arguments": {} if call.args is None else call.args}
        | ({"signature": signature} if signature else {})
        for number, (call, signature) in enumerate(sealed)
    ]


def _thoughts(parts: list[_Part]) -> Iterator[dict[str, Any]]:
    """The thoughts, in the form of `ThinkingContent`. Of a text or an image that is sealed, there is only the seal."""
    for part in parts:
        if part.thought or (part.thought_signature and part.function_call is None):
            text = (part.text or "") if part.thought else ""
            yield {"type": "thinking", "text": text} | (
                {"signature": part.thought_signature} if part.thought_signature else {}
            )


def _images(parts: list[_Part]) -> list[dict[str, Any]]:
    blobs = [part.inline_data for part in parts if part.inline_data and not part.thought]
    return [
        {"media_type": blob.mime_type, "data": blob.data}
        for blob in blobs
        if blob.data and blob.mime_type and blob.mime_type.startswith("image/")
    ]


def _citations(candidate: _Candidate) -> list[dict[str, Any]]:
    """What the answer rests on, and what it quotes."""
    cited: list[dict[str, Any]] = []
    if grounding := candidate.grounding_metadata:
        cited += grounding.grounding_chunks or ()
    if quoted := candidate.citation_metadata:
        cited += quoted.citations or quoted.citation_sources or ()
    return cited


def _unified_usage(usage: _Usage | None, server_tools: _Counts = msgspec.UNSET) -> Usage | None:
    """Tokens as they are billed: thoughts are output, and the service does not count them among its candidates'."""
    if usage is None:
        return None if server_tools is msgspec.UNSET else Usage(server_tools=server_tools)
    return Usage(
        input_tokens=_sum(usage.prompt_token_count, usage.tool_use_prompt_token_count),
        cached_tokens=usage.cached_content_token_count,
        output_tokens=_sum(usage.candidates_token_count, usage.thoughts_token_count),
        reasoning_tokens=usage.thoughts_token_count,
        server_tools=server_tools,
    )


def _server_tools(candidate: _Candidate, parts: list[_Part]) -> _Counts:
    """How often each of the service's tools ran: each query of a search, each page read, each program."""
    grounding, context = candidate.grounding_metadata, candidate.url_context_metadata
    if not (grounding or context or parts):
        return msgspec.UNSET
    searches = (grounding.web_search_queries, grounding.image_search_queries) if grounding else ()
    counts = {
        "google_search": sum(len(queries or ()) for queries in searches),
        "url_context": len((context.url_metadata if context else None) or ()),
        "code_execution": sum(part.executable_code is not None for part in parts),
    }
    return {name: count for name, count in counts.items() if count} or msgspec.UNSET


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
