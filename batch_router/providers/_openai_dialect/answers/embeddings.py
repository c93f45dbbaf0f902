"""Lists of embeddings to results."""

from typing import Any

import msgspec

from ....core import ResultStatus, UnifiedResult, Usage


def decode_embedding(custom_id: str, body: dict[str, Any], request_id: str | None) -> UnifiedResult:
    """The result that a list of embeddings holds; with `encoding_format="base64"` only `response` has the numbers."""
    data = body.get("data")
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    numbers = first.get("embedding")
    usage = body.get("usage")
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.SUCCEEDED,
        usage=Usage(input_tokens=usage.get("prompt_tokens")) if isinstance(usage, dict) else None,
        model=body["model"] if isinstance(body.get("model"), str) else None,
        request_id=request_id,
        response=body,
        embedding=numbers if isinstance(numbers, list) else msgspec.UNSET,
    )
