"""Google: the Gemini Developer API's files and batches."""

import re
import warnings
from collections.abc import Mapping
from typing import ClassVar

from ...core import Endpoint, GenerationConfig
from ...settings import Settings
from ..base import Client, Codec, Limits, Provider
from . import codec
from .native import GeminiRows
from .requests import is_before_3
from .schema import SCHEMAS

_EMBEDDINGS_TAKE_NONE = "leave it out: embeddings have no such parameter"
_EMBEDDINGS_TAKE_TEXT = "send its text"
_THOUGHT = "only its own provider can read it; leave it out"
_TOOL_MEDIA = "send it in base64, or in a turn of the user"
_NO_MORE = "models before Gemini 3 have no more than 'high': ask for that"
# The efforts are those that the SDK's types have.
_BEFORE_3 = {
    "reasoning_effort.xhigh": _NO_MORE,
    "reasoning_effort.max": _NO_MORE,
    "tool_result.image.base64": "send it in a turn of the user, or to Gemini 3",
    "tool_result.document.base64": "send it in a turn of the user, or to Gemini 3",
}
_SINCE_3 = {
    "reasoning_effort.none": "it always thinks: ask for 'minimal'",
    "reasoning_effort.max": "it has no 'max': ask for 'xhigh'",
}


class GoogleProvider(Provider):
    """The Gemini Developer API's batches (not Vertex AI)."""

    name = "google"
    # ai.google.dev/gemini-api/docs/batch-api: 2 GB per input file. It names no limit of rows; 50,000 is our own.
    limits = Limits(rows=50_000, bytes=2_000_000_000)
    endpoints = {  # noqa: RUF012 - data
        Endpoint.CHAT: {
            "service_tier": "leave it out",
            "detail": "leave it out: requests have no such setting",
            "cache_control": "leave it out: the service finds out itself what to cache",
            "thinking.encrypted": _THOUGHT,
            "thinking.item": _THOUGHT,
            "tool_result.image.url": _TOOL_MEDIA,
            "tool_result.document.url": _TOOL_MEDIA,
        },
        Endpoint.EMBEDDINGS: {
            **dict.fromkeys(GenerationConfig.__struct_fields__, _EMBEDDINGS_TAKE_NONE),
            **dict.fromkeys(
                ("image.url", "image.base64", "document.url", "document.base64", "tool_call", "tool_result"),
                _EMBEDDINGS_TAKE_TEXT,
            ),
        },
    }
    # A job that is cancelled while it runs was seen to end with its answers; no page of Google's says so.
    keeps_cancelled = False
    key_variables = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # the SDK's own order
    # ai.google.dev/gemini-api/docs/models
    models = re.compile("(?:models/)?(?:gemini-|gemma-)|(?:models/)?(?:text-)?embedding-00[0-9]")
    job_options = frozenset({"headers"})
    native = GeminiRows()
    codec: ClassVar[Codec] = codec
    schemas = SCHEMAS

    @classmethod
    def lacks(cls, endpoint: Endpoint, model: str) -> Mapping[str, str] | None:
        """See `Provider.lacks`."""
        lacks = cls.endpoints.get(endpoint)
        if lacks is None or endpoint is not Endpoint.CHAT:
            return lacks
        return {**lacks, **(_BEFORE_3 if is_before_3(model) else _SINCE_3)}

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
