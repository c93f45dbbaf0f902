"""Chat rows of 1.5 kB, and the answers to them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

SENTENCE = "The quick brown fox jumps over the lazy dog again and again. "
MODEL = "gpt-5-mini"
_encode = msgspec.json.Encoder().encode


def request(number: int) -> dict[str, Any]:
    return {
        "custom_id": f"request-{number}",
        "model": MODEL,
        "system_prompt": SENTENCE * 4,
        "messages": [
            {"role": "user", "content": SENTENCE * 8},
            {"role": "assistant", "content": SENTENCE * 5},
            {"role": "user", "content": SENTENCE * 5},
        ],
        "generation_config": {"temperature": 0.2, "max_tokens": 256},
    }


def native_request(number: int) -> dict[str, Any]:
    """The same as a row of an OpenAI batch file."""
    messages = [{"role": "system", "content": SENTENCE * 4}, *request(number)["messages"]]
    body = {"model": MODEL, "messages": messages, "temperature": 0.2, "max_completion_tokens": 256}
    return {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def write_requests(path: Path, rows: int, make: Callable[[int], dict[str, Any]] = request) -> None:
    with path.open("wb") as stream:
        for number in range(rows):
            stream.write(_encode(make(number)) + b"\n")


#: Of an answer as data, and such an answer.
SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["good", "bad"]},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "reasons": {"type": "array", "items": {"type": "string", "maxLength": 100}},
    },
    "required": ["label", "score", "reasons"],
    "additionalProperties": False,
}
JSON = _encode({"label": "good", "score": 0.5, "reasons": [SENTENCE] * 12}).decode()


def answer(row_id: str, text: str = SENTENCE * 16) -> bytes:
    """As the service writes it: its keys, their order, its spaces."""
    body = {
        "id": "chatcmpl-Cx1",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gpt-5-mini-2025-08-07",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 200,
            "completion_tokens": 180,
            "total_tokens": 380,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": None,
    }
    response = {"status_code": 200, "request_id": "7d6e0a37ce5a4b0f", "body": body}
    return _encode({"id": "batch_req_68a1", "custom_id": row_id, "response": response, "error": None}) + b"\n"


def write_answers(path: Path, label: str, rows: int, seed: int = 1, text: str = SENTENCE * 16) -> None:
    """Answers to all rows of a shard, in another order."""
    order = list(range(rows))
    random.Random(seed).shuffle(order)
    with path.open("wb") as stream:
        stream.writelines(answer(f"{label}-{row}", text) for row in order)


def lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from stream
