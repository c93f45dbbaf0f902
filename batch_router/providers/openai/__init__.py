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


class OpenAIProvider(Provider):
    """OpenAI's Batch API: chat completions, responses, embeddings."""

    name = OPENAI.name
    service: ClassVar[Service] = OPENAI
    # developers.openai.com/api/docs/guides/batch: 50,000 requests and 200 MB per input file.
    limits = Limits(rows=50_000, bytes=200_000_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {
            "top_k": "leave it out",
            "document.url": "send it as base64, or over the endpoint 'responses'",
        },
        Endpoint.RESPONSES: {
            "top_k": "leave it out",
            "stop_sequences": _ONLY_CHAT,
            "presence_penalty": _ONLY_CHAT,
            "frequency_penalty": _ONLY_CHAT,
            "seed": _ONLY_CHAT,
        },
        Endpoint.EMBEDDINGS: dict.fromkeys(GenerationConfig.__struct_fields__, "embeddings have no such parameter"),
    }
    key_variables = ("OPENAI_API_KEY",)
    native = OpenAIRows(set(Endpoint) - {Endpoint.SCORE, Endpoint.RERANK}, STRICT)
    speaks_openai = True
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
