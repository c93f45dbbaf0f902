"""Chat completions."""

from typing import Any

from ..answers import count_tokens, name_for, prompt_of, text_for
from ..scenario import Scenario


def completion(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A chat completion as the service returns it (compare the recorded rows)."""
    text = text_for(scenario, prompt_of(body))
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{name_for(scenario.seed, row_id)}",
        "object": "chat.completion",
        "created": now,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(count_tokens(str(body.get("messages"))), count_tokens(text)),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _usage(given: int, written: int) -> dict[str, Any]:
    written_as = ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
    return {
        "prompt_tokens": given,
        "completion_tokens": written,
        "total_tokens": given + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": dict.fromkeys(written_as, 0),
    }
