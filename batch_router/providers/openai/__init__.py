"""OpenAI: Files and Batches."""

import re
from typing import ClassVar

from ...core import Endpoint, GenerationConfig
from ...settings import Settings
from .._openai_dialect.native import OpenAIRows
from .._openai_dialect.schema import STRICT
from ..base import Client, Codec, Limits, Provider
from . import codec
from .service import OPENAI, Service

_ONLY_CHAT = "leave it out, or use the endpoint 'chat'"
_THOUGHT = "only its own provider can read it; leave it out"
_TOOL_TEXT = "send its text, or use the endpoint 'responses'"
# What neither of its endpoints takes.
_BOTH: dict[str, str] = {
    "top_k": "leave it out",
    "cache_control": "leave it out: the service finds out itself what to cache",
    "is_error": "say it in the result's content",
    "thinking.plain": _THOUGHT,
    "thinking.signed": _THOUGHT,
    "thinking.encrypted": _THOUGHT,
    **dict.fromkeys(
        [f"assistant.{kind}.{source}" for kind in ("image", "document") for source in ("base64", "url")],
        "send it in a turn of the user",
    ),
}


class OpenAIProvider(Provider):
    """OpenAI's Batch API: chat completions, responses, embeddings."""

    name = OPENAI.name
    service: ClassVar[Service] = OPENAI
    # developers.openai.com/api/docs/guides/batch: 50,000 requests and 200 MB per input file.
    limits = Limits(rows=50_000, bytes=200_000_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {
            **_BOTH,
            "document.url": "send it as base64, or over the endpoint 'responses'",
            "thinking.item": "use the endpoint 'responses'",
            **dict.fromkeys(
                [f"tool_result.{kind}.{source}" for kind in ("image", "document") for source in ("base64", "url")],
                _TOOL_TEXT,
            ),
        },
        Endpoint.RESPONSES: {
            **_BOTH,
            "stop_sequences": _ONLY_CHAT,
            "presence_penalty": _ONLY_CHAT,
            "frequency_penalty": _ONLY_CHAT,
            "seed": _ONLY_CHAT,
        },
        Endpoint.EMBEDDINGS: dict.fromkeys(GenerationConfig.__struct_fields__, "embeddings have no such parameter"),
    }
    key_variables = ("OPENAI_API_KEY",)
    native = OpenAIRows(set(Endpoint) - {Endpoint.SCORE, Endpoint.RERANK}, STRICT)
    job_options = frozenset({"completion_window", "headers"})
    windows = OPENAI.windows
    # developers.openai.com/api/docs/models; `gpt-oss` and `gpt-j` are open models, which others serve.
    models = re.compile(
        r"(?:ft:)?(?:gpt-(?:[0-9]|image|audio|realtime)|o[1-9](?:-|$)|chatgpt-|text-embedding-(?:3-|ada-))"
    )
    codec: ClassVar[Codec] = codec
    schemas = STRICT

    def connect(self, settings: Settings) -> Client:
        """See `Provider.connect`."""
        from .client import (
            OpenAIClient,  # the SDK takes half a second to import, and only processes that call it need it
        )

        return OpenAIClient(self._key(), base_url=self.base_url, settings=settings, service=self.service)


PROVIDER = OpenAIProvider
