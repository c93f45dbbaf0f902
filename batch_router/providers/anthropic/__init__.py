"""Anthropic: Message Batches."""

import re
from typing import ClassVar

from ...core import Endpoint
from ...settings import Settings
from ..base import Client, Codec, Limits, Provider
from . import codec
from .native import AnthropicRows
from .schema import SCHEMAS

# platform.claude.com/docs/en/api/versioning: removed by version 2026-10-21, which the SDK asks for.
_REMOVED = "leave it out: the API no longer has it"
_UNKNOWN = "leave it out"


class AnthropicProvider(Provider):
    """Anthropic's Message Batches API."""

    name = "anthropic"
    # platform.claude.com/docs/en/build-with-claude/batch-processing: 100,000 requests (50,000 is our own limit) and
    # 256 MB in the body of one request, of which what frames the rows is a part.
    limits = Limits(rows=50_000, bytes=255_999_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {
            "temperature": _REMOVED,
            "top_p": _REMOVED,
            "top_k": _REMOVED,
            "presence_penalty": _UNKNOWN,
            "frequency_penalty": _UNKNOWN,
            "seed": _UNKNOWN,
            "json_object": "give an output_schema, or ask for JSON in the prompt",
            "reasoning_effort.minimal": "it has no 'minimal': ask for 'low', or for 'none' to turn thinking off",
            "detail": _UNKNOWN,
            "thinking.plain": "leave it out: a thought without Anthropic's signature is not read",
            "thinking.item": "leave it out: a thought without Anthropic's signature is not read",
            "assistant.document.base64": "send it in a turn of the user",
            "assistant.document.url": "send it in a turn of the user",
        },
    }
    media_types = {  # noqa: RUF012 - data
        "image": ("image/jpeg", "image/png", "image/gif", "image/webp"),
        "document": ("application/pdf",),
    }
    key_variables = ("ANTHROPIC_API_KEY",)
    models = re.compile("claude-")
    job_options = frozenset({"headers", "betas"})
    native = AnthropicRows()
    labelled = False
    codec: ClassVar[Codec] = codec
    schemas = SCHEMAS

    def connect(self, settings: Settings) -> Client:
        """See `Provider.connect`."""
        from .client import (
            AnthropicClient,  # the SDK takes half a second to import, and only processes that call it need it
        )

        return AnthropicClient(self._key(), base_url=self.base_url, settings=settings)


PROVIDER = AnthropicProvider
