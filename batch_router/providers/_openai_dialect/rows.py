"""The rows of a batch file in the format of OpenAI and vLLM: a request to an endpoint."""

from typing import Literal

import msgspec

from ...core import Endpoint
from .chat import CHAT_URL, ChatBody

#: developers.openai.com/api/docs/guides/batch lists the first eight, docs.vllm.ai the last two.
URLS: dict[Endpoint, str] = {
    Endpoint.CHAT: CHAT_URL,
    Endpoint.RESPONSES: "/v1/responses",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
    Endpoint.COMPLETIONS: "/v1/completions",
    Endpoint.MODERATIONS: "/v1/moderations",
    Endpoint.IMAGES: "/v1/images/generations",
    Endpoint.IMAGE_EDITS: "/v1/images/edits",
    Endpoint.VIDEOS: "/v1/videos",
    Endpoint.SCORE: "/v1/score",
    Endpoint.RERANK: "/v1/rerank",
}


class WireRow(msgspec.Struct, gc=False):
    """A line of the input file."""

    custom_id: str
    body: ChatBody | dict[str, object]
    method: Literal["POST"] = "POST"
    url: str = CHAT_URL


class NativeWireRow(msgspec.Struct, gc=False):
    """The same of a row that is sent as it stands."""

    custom_id: str
    body: msgspec.Raw
    method: Literal["POST"] = "POST"
    url: str = CHAT_URL
