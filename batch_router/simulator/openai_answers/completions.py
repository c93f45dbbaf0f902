"""Legacy completions: one text for each prompt, or as many as `n` says."""

from typing import Any

from ..answers import count_tokens, inputs_of, name_for, text_for
from ..scenario import Scenario


def text_completion(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A text completion."""
    prompts = inputs_of(body.get("prompt"))
    texts = [text_for(scenario, prompt) for prompt in prompts for _ in range(body.get("n") or 1)]
    given, written = sum(map(count_tokens, prompts)), sum(map(count_tokens, texts))
    return {
        "id": f"cmpl-{name_for(scenario.seed, row_id)}",
        "object": "text_completion",
        "created": now,
        "model": body.get("model"),
        "choices": [
            {"index": index, "text": text, "logprobs": None, "finish_reason": "stop"}
            for index, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written},
    }
