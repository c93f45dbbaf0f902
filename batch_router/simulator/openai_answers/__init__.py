"""The answers of OpenAI's endpoints, of which vLLM has some, too."""

from typing import Any

from ..scenario import Scenario
from .chat import completion
from .completions import text_completion
from .embeddings import embeddings
from .media import images, video
from .moderations import moderation
from .responses import response

#: The endpoints that take batches.
ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)


def answer_for(scenario: Scenario, url: str, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """What the endpoint of that URL answers."""
    match url:
        case "/v1/responses":
            return response(scenario, body, row_id, now)
        case "/v1/embeddings":
            return embeddings(scenario, body)
        case "/v1/completions":
            return text_completion(scenario, body, row_id, now)
        case "/v1/moderations":
            return moderation(scenario, body, row_id)
        case "/v1/images/generations" | "/v1/images/edits":
            return images(body, now)
        case "/v1/videos":
            return video(scenario, body, row_id, now)
    return completion(scenario, body, row_id, now)
