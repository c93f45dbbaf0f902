"""The answers of OpenAI's endpoints, which vLLM has too: chat completions, responses, embeddings."""

from typing import Any

from .answers import count_tokens, name_for, prompt_of, text_for, vector_for
from .scenario import Scenario


def answer_for(scenario: Scenario, url: str, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """What the endpoint of that URL answers."""
    match url:
        case "/v1/responses":
            return _response(scenario, body, row_id, now)
        case "/v1/embeddings":
            return _embeddings(scenario, body)
    return _completion(scenario, body, row_id, now)


def _completion(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A chat completion as the service returns it (compare the recorded rows)."""
    text = text_for(scenario, prompt_of(body))
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{name_for(scenario.seed, row_id)}",
        "object": "chat.completion",
        "created": now,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _completion_usage(count_tokens(str(body.get("messages"))), count_tokens(text)),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _completion_usage(given: int, written: int) -> dict[str, Any]:
    written_as = ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
    return {
        "prompt_tokens": given,
        "completion_tokens": written,
        "total_tokens": given + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": dict.fromkeys(written_as, 0),
    }


def _response(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A response object (compare the recorded rows)."""
    text = text_for(scenario, prompt_of(body))
    name = name_for(scenario.seed, row_id)
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": now,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body.get("model"),
        "output": [_output_message(name, text)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _response_usage(count_tokens(str(body.get("input"))), count_tokens(text)),
        "user": None,
        "metadata": {},
    }


def _output_message(name: str, text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]
    return {"id": f"msg_{name}", "type": "message", "status": "completed", "content": content, "role": "assistant"}


def _response_usage(given: int, written: int) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + written,
    }


def _embeddings(scenario: Scenario, body: dict[str, Any]) -> dict[str, Any]:
    """A vector for each text."""
    given = body.get("input")
    texts = [str(text) for text in (given if isinstance(given, list) else [given])]
    vectors = [vector_for(scenario, text, body.get("dimensions", 8)) for text in texts]
    tokens = sum(count_tokens(text) for text in texts)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)],
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
