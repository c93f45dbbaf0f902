"""What the simulated models say: deterministic, from the seed and the request."""

import hashlib
import random
import re
from typing import Any

from .scenario import Refusal, Scenario

_WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "juniper", "kelp", "larch"]

# The reasoning models refuse the old name of the parameter.
_REASONING_MODEL = re.compile(r"gpt-5|o\d")


def prompt_of(body: dict[str, Any]) -> str:
    """The last thing the user said; for embeddings and responses, their input."""
    messages = body.get("messages")
    last = messages[-1].get("content") if isinstance(messages, list) and messages else body.get("input")
    if isinstance(last, list) and last and isinstance(last[-1], dict) and "content" in last[-1]:
        last = last[-1]["content"]  # the items of `/v1/responses`
    if isinstance(last, list):
        texts = (part.get("text") if isinstance(part, dict) else part for part in last)
        return " ".join(str(text) for text in texts if text is not None)
    return str(last)


def refusal_of(scenario: Scenario, body: dict[str, Any], row_id: str) -> Refusal | None:
    """Why the API refuses the row, if it does."""
    if "max_tokens" in body and _REASONING_MODEL.match(str(body.get("model"))):
        return Refusal(
            code="unsupported_parameter",
            message="Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
        )
    return refusal_for(scenario, prompt_of(body), row_id)


def refusal_for(scenario: Scenario, prompt: str, row_id: str) -> Refusal | None:
    """Why the scenario refuses a row with this prompt, if it does."""
    for refusal in scenario.refuse:
        if re.search(refusal.match, prompt) and _chance(scenario.seed, row_id) < refusal.share:
            return refusal
    return None


def text_for(scenario: Scenario, prompt: str) -> str:
    """What the model answers to a prompt."""
    for answer in scenario.answers:
        if found := re.search(answer.match, prompt):
            return answer.text.format(found[0], *found.groups())
    if scenario.style == "echo":
        return prompt
    chooser = random.Random(f"{scenario.seed}:{prompt}")  # noqa: S311 - not a secret
    return " ".join(chooser.choice(_WORDS) for _ in range(8)).capitalize() + "."


def answer_for(scenario: Scenario, url: str, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """What the endpoint of that URL answers."""
    match url:
        case "/v1/responses":
            return response(scenario, body, row_id, now)
        case "/v1/embeddings":
            return embeddings(scenario, body)
    return completion(scenario, body, row_id, now)


def completion(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A chat completion as the service returns it (compare the recorded rows)."""
    prompt = prompt_of(body)
    text = text_for(scenario, prompt)
    asked, said = _tokens(str(body.get("messages"))), _tokens(text)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{_name(scenario.seed, row_id)}",
        "object": "chat.completion",
        "created": now,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": said,
            "total_tokens": asked + said,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }


def response(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A response object (compare the recorded rows)."""
    text = text_for(scenario, prompt_of(body))
    name = _name(scenario.seed, row_id)
    asked, said = _tokens(str(body.get("input"))), _tokens(text)
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]
    message = {"id": f"msg_{name}", "type": "message", "status": "completed", "content": content, "role": "assistant"}
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
        "output": [message],
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
        "usage": {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + said,
        },
        "user": None,
        "metadata": {},
    }


def embeddings(scenario: Scenario, body: dict[str, Any]) -> dict[str, Any]:
    """Numbers for each text: the same ones for the same text."""
    given = body.get("input")
    texts = given if isinstance(given, list) else [given]
    length = body.get("dimensions", 8)
    asked = sum(_tokens(str(text)) for text in texts)
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _numbers(scenario, str(text), length),
            }
            for index, text in enumerate(texts)
        ],
        "model": body.get("model"),
        "usage": {"prompt_tokens": asked, "total_tokens": asked},
    }


def _numbers(scenario: Scenario, text: str, count: int) -> list[float]:
    chooser = random.Random(f"{scenario.seed}:{text}")  # noqa: S311 - not a secret
    return [round(chooser.uniform(-1, 1), 6) for _ in range(count)]


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _name(seed: int, row_id: str) -> str:
    return hashlib.sha256(f"{seed}:{row_id}".encode()).hexdigest()[:24]


def _chance(seed: int, row_id: str) -> float:
    return int(_name(seed, row_id)[:8], 16) / 0x1_0000_0000
