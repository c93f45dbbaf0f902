"""Tokens as OpenAI's endpoints count them. Each has one of two sets of names for the same."""

import msgspec

from ....core import Usage
from ..._rows.shapes import Count


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class WireUsage(msgspec.Struct, gc=False):
    """As the body has it: chat, completions and embeddings count prompts, responses and images count inputs."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


def unified_usage(usage: WireUsage, server_tools: dict[str, int] | None = None) -> Usage:
    """The same in our words. The service counts cached, cache-written and reasoning tokens among the others."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    taken = usage.prompt_tokens_details or usage.input_tokens_details
    made = usage.completion_tokens_details or usage.output_tokens_details
    return Usage(
        input_tokens=usage.input_tokens if prompt is None else prompt,
        cached_tokens=taken.cached_tokens if taken else None,
        cache_write_tokens=taken.cache_write_tokens if taken else None,
        output_tokens=usage.output_tokens if completion is None else completion,
        reasoning_tokens=made.reasoning_tokens if made else None,
        server_tools=server_tools or msgspec.UNSET,
    )
