"""Embeddings: one for each input, as numbers or in base64, of as many dimensions as were asked for."""

import base64
import struct
from typing import Any

from ..answers import count_tokens, inputs_of, vector_for
from ..scenario import Scenario

_SIZE = 8


def embeddings(scenario: Scenario, body: dict[str, Any]) -> dict[str, Any]:
    """A vector for each input; inputs that are alike have the same one."""
    texts = inputs_of(body.get("input"))
    vectors = [vector_for(scenario, text, body.get("dimensions") or _SIZE) for text in texts]
    is_packed = body.get("encoding_format") == "base64"
    tokens = sum(count_tokens(text) for text in texts)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats, as the official SDK unpacks them."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
