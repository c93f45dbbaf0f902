"""Bodies of `/v1/embeddings`."""

from typing import Any

from ...core import Endpoint
from ...exceptions import ValidationError
from ..losses import Translated
from .given import Given
from .translation import Translation

_DEFAULTS: dict[str, tuple[object, ...]] = {"encoding_format": ("float",), "user": ("",)}


def read(custom_id: Any, members: dict[str, Any]) -> Translated:
    """See `translate`."""
    translation = Translation()
    body = Given(members, "body", translation.losses)
    model, text = body.take("model"), body.take("input")
    if isinstance(text, list) and len(text) == 1:
        (text,) = text
    if not isinstance(text, str):
        raise ValidationError("body.input: must be one text; write a row for each of several, and texts for tokens")
    translation.add_turn("user", "body.input", text)
    body.close(_DEFAULTS)
    return translation.finish(custom_id, model, Endpoint.EMBEDDINGS, "body.input")
