"""The answers of the Responses API."""

import json
from typing import Any

from ..answers import Call, count_tokens, name_for, prompt_of, text_for
from ..scenario import Scenario
from .wanted import call_of, form_of


def response(scenario: Scenario, body: dict[str, Any], row_id: str, now: int) -> dict[str, Any]:
    """A response object (compare the recorded rows)."""
    name, call = name_for(scenario.seed, row_id), call_of(scenario, body)
    text = json.dumps(call.written) if call else text_for(scenario, prompt_of(body), form_of(body), row_id)
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
        "output": [_output_call(name, call) if call else _output_message(name, text)],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}} | (body.get("text") or {}),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation", "disabled"),
        "usage": _response_usage(count_tokens(str(body.get("input"))), count_tokens(text)),
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def _output_message(name: str, text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}]
    return {"id": f"msg_{name}", "type": "message", "status": "completed", "content": content, "role": "assistant"}


def _output_call(name: str, call: Call) -> dict[str, Any]:
    """An item that calls a tool."""
    shared = {"call_id": f"call_{name}", "name": call.name, "status": "completed"}
    if call.is_custom:
        return {"id": f"ctc_{name}", "type": "custom_tool_call", "input": call.written} | shared
    return {"id": f"fc_{name}", "type": "function_call", "arguments": json.dumps(call.written)} | shared


def _response_usage(given: int, written: int) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + written,
    }
