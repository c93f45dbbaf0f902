"""The dialect of `/v1/embeddings`, which OpenAI and vLLM share: texts to bodies."""

from ...core import UnifiedRequest
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
