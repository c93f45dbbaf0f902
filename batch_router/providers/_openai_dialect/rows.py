"""The rows of a batch file in the format of OpenAI and vLLM: a request to an endpoint."""

from typing import Literal

import msgspec

from ...core import Endpoint
from .chat import CHAT_URL, ChatBody

URLS: dict[Endpoint, Literal["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]] = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.RESPONSES: "/v1/responses",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
}


class WireRow(msgspec.Struct, gc=False):
    """A line of the input file."""

    custom_id: str
    body: ChatBody | dict[str, object]
    method: Literal["POST"] = "POST"
    url: str = CHAT_URL
