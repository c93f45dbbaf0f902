"""The dialect of `/v1/embeddings`, which OpenAI and vLLM share: texts to bodies, answers to results."""

from typing import Any

import msgspec

from ...core import ResultStatus, UnifiedRequest, UnifiedResult, Usage
from ...exceptions import ValidationError


def encode_embedding_body(request: UnifiedRequest) -> dict[str, object]:
    """The body: the single text of the single turn.

    Raises:
        ValidationError: the request is more than one text.
    """
    return {"model": request.model, "input": embedded_text(request)}


def embedded_text(request: UnifiedRequest) -> str:
    """The text to embed.

    Raises:
        ValidationError: the request is more than one text.
    """
    if request.system_prompt:
        raise ValidationError("system_prompt: embeddings have none; leave it out")
    if len(request.messages) != 1 or not request.messages[0].is_text_only():
        raise ValidationError("messages: embeddings take one turn of one text; write a request for each text")
    return request.messages[0].get_text()


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
