"""Each provider's codec, there and back, against the bare loop over the same lines."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from batch_router.core import UnifiedRequest
from batch_router.intake.encode import RowEncoder
from batch_router.providers import Provider, find_provider
from batch_router.settings import Settings

from .rows import SCHEMA, SENTENCE, answer, request
from .sizes import Sizes

PROVIDERS = ("openai", "anthropic", "google", "vllm")
_encode = msgspec.json.Encoder().encode
_encode_into = msgspec.json.Encoder().encode_into


def measure_codecs(sizes: Sizes) -> dict[str, float]:
    """The ratios, medians of several pairs of runs, by the names under which they are shown."""
    chats = [_encode(request(number) | {"generation_config": {"max_tokens": 256}}) for number in range(sizes.chats)]
    asked = {"max_tokens": 256, "output_schema": {"schema": SCHEMA, "name": "label", "strict": True}}
    schemas = [_encode(request(number) | {"generation_config": asked}) for number in range(sizes.chats)]
    images = [_encode(_image_request(number, sizes.image_bytes)) for number in range(sizes.images)]
    figures: dict[str, float] = {}
    for name in PROVIDERS:
        provider = find_provider(name)
        answers = [_answer(name, f"0123456789abcdef-{number}") for number in range(sizes.chats)]
        figures[f"encode_ratio {name}"] = ratio(chats, sizes.runs, partial(encode, provider))
        figures[f"schema_ratio {name}"] = ratio(schemas, sizes.runs, partial(encode, provider))
        figures[f"decode_ratio {name}"] = ratio(answers, sizes.runs, partial(decode, provider))
        figures[f"image_ratio {name}"] = ratio(images, sizes.runs, partial(encode, provider))
    return figures


def encode(provider: type[Provider], lines: list[bytes]) -> None:
    read = msgspec.json.Decoder(UnifiedRequest).decode
    encode_row = RowEncoder(provider, "error", Settings()).encode
    buffer = bytearray()  # as the road does, all loops encode into a buffer that stays
    for line in lines:
        _encode_into(encode_row(read(line), "0123456789abcdef-1"), buffer, 0)


def decode(provider: type[Provider], lines: list[bytes]) -> None:
    buffer = bytearray()
    for line in lines:
        _encode_into(provider.codec.decode(line, "0123456789abcdef-1")[0], buffer, 0)


def ratio(lines: list[bytes], runs: int, ours: Callable[[list[bytes]], None]) -> float:
    ratios = []
    for _ in range(runs):
        bare = _timed(_bare_loop, lines)
        ratios.append(bare / _timed(ours, lines))
    return sorted(ratios)[runs // 2]


def _bare_loop(lines: list[bytes]) -> None:
    read = msgspec.json.Decoder().decode
    buffer = bytearray()
    for line in lines:
        _encode_into(read(line), buffer, 0)


def _timed(call: Callable[[list[bytes]], None], lines: list[bytes]) -> float:
    start = time.perf_counter()
    call(lines)
    return time.perf_counter() - start


def _image_request(number: int, size: int) -> dict[str, Any]:
    data = "iVBORw0K" * (size // 8)
    image = {"type": "image", "source_type": "base64", "media_type": "image/png", "data": data}
    content = [image, {"type": "text", "text": "What is this?"}]
    messages = [{"role": "user", "content": content}]
    return request(number) | {"messages": messages, "generation_config": {"max_tokens": 9}}


def _answer(provider: str, row_id: str) -> bytes:
    """As each service writes it."""
    match provider:
        case "anthropic":
            usage = {
                "input_tokens": 200,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 180,
                "service_tier": "batch",
            }
            message = {
                "model": "claude-haiku-4-5",
                "id": "msg_01A",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": SENTENCE * 16}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": usage,
            }
            return _encode({"custom_id": row_id, "result": {"type": "succeeded", "message": message}})
        case "google":
            candidate = {
                "content": {"parts": [{"text": SENTENCE * 16}], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }
            response = {
                "candidates": [candidate],
                "usageMetadata": {
                    "promptTokenCount": 200,
                    "candidatesTokenCount": 180,
                    "totalTokenCount": 380,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 200}],
                },
                "modelVersion": "gemini-2.5-flash",
                "responseId": "r1",
            }
            return _encode({"key": row_id, "response": response})
    return answer(row_id)
