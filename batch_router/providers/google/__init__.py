"""Google: the Gemini Developer API's files and batches."""

import re
import warnings
from typing import ClassVar

from ...core import Endpoint
from ...settings import Settings
from ..base import Client, Codec, Limits, Provider
from . import codec
from .native import GeminiRows
from .schema import SCHEMAS

_EMBEDDINGS_TAKE_NONE = "leave it out: embeddings have no such parameter"
_EMBEDDINGS_TAKE_TEXT = "send its text"


class GoogleProvider(Provider):
    """The Gemini Developer API's batches (not Vertex AI)."""

    name = "google"
    # ai.google.dev/gemini-api/docs/batch-api: 2 GB per input file. It names no limit of rows; 50,000 is our own.
    limits = Limits(rows=50_000, bytes=2_000_000_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {"service_tier": "leave it out"},
        Endpoint.EMBEDDINGS: {
            **dict.fromkeys(
                (
                    "temperature",
                    "max_tokens",
                    "top_p",
                    "top_k",
                    "stop_sequences",
                    "presence_penalty",
                    "frequency_penalty",
                    "seed",
                    "reasoning_effort",
                    "tools",
                    "tool_choice",
                    "output_schema",
                    "service_tier",
                ),
                _EMBEDDINGS_TAKE_NONE,
            ),
            **dict.fromkeys(
                ("image.url", "image.base64", "document.url", "document.base64", "tool_call", "tool_result"),
                _EMBEDDINGS_TAKE_TEXT,
            ),
        },
    }
    key_variables = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # the SDK's own order
    # ai.google.dev/gemini-api/docs/models
    models = re.compile("(?:models/)?(?:gemini-|gemma-)|(?:models/)?(?:text-)?embedding-00[0-9]")
    job_options = frozenset({"headers"})
    native = GeminiRows()
    codec: ClassVar[Codec] = codec
    schemas = SCHEMAS

    @classmethod
    def preload(cls) -> None:
        """See `Provider.preload`. In a worker, which is our own process, the SDK need not warn at each call."""
        super().preload()
        # What may change is the SDK's model of the answer, which is not used here.
        warnings.filterwarnings("ignore", message=r"batches\.create_embeddings\(\) is experimental")

    def connect(self, settings: Settings) -> Client:
        """See `Provider.connect`."""
        from .client import GoogleClient  # the SDK takes a second to import, and only processes that call it need it

        return GoogleClient(self._key(), base_url=self.base_url, settings=settings)


PROVIDER = GoogleProvider
