"""The answers of OpenAI's endpoints, which vLLM has too: chat completions, responses, embeddings."""

from typing import Any

from ..scenario import Scenario
from .chat import completion
from .embeddings import embeddings
from .responses import response


def answer_for(scenario: Scenario, url: str, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """What the endpoint of that URL answers."""
    match url:
        case "/v1/responses":
            return response(scenario, body, row_id, now)
        case "/v1/embeddings":
            return embeddings(scenario, body)
    return completion(scenario, body, row_id, now)
