"""How much a row asks for: bytes of text in, and the most tokens out."""

from collections.abc import Iterator

import msgspec

from ..core import NativeRow, TextContent, UnifiedRequest
from .encode import Row


class _GoogleConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None


class _Body(msgspec.Struct):
    """The names that bodies have for the most tokens of an answer."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    generation_config: _GoogleConfig | None = msgspec.field(default=None, name="generationConfig")


_read_body = msgspec.json.Decoder(_Body).decode


def text_bytes(row: Row) -> int:
    """Bytes of the texts of a row; of a row that goes as it stands, those of its whole body."""
    if isinstance(row, NativeRow):
        return len(bytes(row.body))
    return sum(len(text.encode(errors="replace")) for text in _texts(row))


def _texts(request: UnifiedRequest) -> Iterator[str]:
    yield request.system_text or ""
    for message in request.messages:
        if isinstance(message.content, str):
            yield message.content
        else:
            yield from (part.text for part in message.content if isinstance(part, TextContent))


def most_output(row: Row) -> int | None:
    """The most tokens that the answer may have; None: the row does not say."""
    if isinstance(row, UnifiedRequest):
        return row.generation_config.max_tokens if row.generation_config else None
    try:
        body = _read_body(row.body)
    except msgspec.ValidationError:  # another type, which the provider may take or not
        return None
    google = body.generation_config.max_output_tokens if body.generation_config else None
    return body.max_completion_tokens or body.max_tokens or body.max_output_tokens or google
