"""Chat completions."""

import json
from typing import Any

from ..answers import Call, count_tokens, count_tokens_of, name_for, prompt_of, text_for
from ..scenario import Scenario
from .wanted import call_of, form_of


def completion(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A chat completion as the service returns it (compare the recorded rows)."""
    name, count = name_for(scenario.seed, row_id), body.get("n") or 1
    call = call_of(scenario, body)
    text = "" if call else text_for(scenario, prompt_of(body), form_of(body), row_id)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    message |= _called(call, name, body) if call else {}
    # As at the service, the demand for one tool ends with `stop`.
    reason = "tool_calls" if call and not call.is_named else "stop"
    written = count * count_tokens(json.dumps(call.written) if call else text)
    return {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion",
        "created": now,
        "model": body.get("model"),
        "choices": [
            {"index": index, "message": dict(message), "logprobs": None, "finish_reason": reason}
            for index in range(count)
        ],
        "usage": _usage(count_tokens_of(body.get("messages")), written),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _called(call: Call, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """The members of a message that calls a tool."""
    if call.is_custom:
        made = {"id": f"call_{name}", "type": "custom", "custom": {"name": call.name, "input": call.written}}
        return {"content": None, "tool_calls": [made]}
    function = {"name": call.name, "arguments": json.dumps(call.written)}
    if "functions" in body:
        return {"content": None, "function_call": function}
    return {"content": None, "tool_calls": [{"id": f"call_{name}", "type": "function", "function": function}]}


def _usage(given: int, written: int) -> dict[str, Any]:
    written_as = ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
    return {
        "prompt_tokens": given,
        "completion_tokens": written,
        "total_tokens": given + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": dict.fromkeys(written_as, 0),
    }
