"""Rows as the providers answer them, in a few words."""

import json
from typing import Any

import msgspec

from batch_router.providers import find_provider

Row = dict[str, Any]
HI = {"role": "assistant", "content": "hi"}
HI_PART = {"type": "text", "text": "hi"}
OUTPUT_TEXT = {"type": "output_text", "text": "hi", "annotations": []}


def chat(message: Any = HI, **more: Any) -> Row:
    return {"object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": message}]} | more


def response(*output: Any, **more: Any) -> Row:
    return {"object": "response", "status": "completed", "model": "m", "output": list(output)} | more


def said(*parts: Any) -> Row:
    return {"type": "message", "role": "assistant", "content": list(parts)}


def openai(body: Any, status_code: Any = 200, **more: Any) -> Row:
    answer = {"status_code": status_code, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": "t-0", "response": answer, "error": None} | more


def unexecuted(error: Any) -> Row:
    return {"id": "b", "custom_id": "t-0", "response": None, "error": error}


def anthropic(*content: Any, **more: Any) -> Row:
    message = {"type": "message", "model": "m", "content": list(content), "stop_reason": "end_turn"}
    return {"custom_id": "t-0", "result": {"type": "succeeded", "message": message | more}}


def google(*parts: Any, **more: Any) -> Row:
    candidate = {"content": {"parts": list(parts)}, "finishReason": "STOP"}
    return {"response": {"candidates": [candidate | more]}, "key": "t-0"}


def plain(provider: str, line: bytes) -> Any:
    return json.loads(msgspec.json.encode(find_provider(provider).codec.decode(line, "q1")[0]))
