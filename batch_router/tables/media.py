"""Images and PDFs that a column names, as parts of a prompt: by URL, or by the path of a file."""

import base64
from pathlib import Path
from typing import Literal

from ..bounds import Bounds
from ..core.record import JsonObject
from ..exceptions import ValidationError
from ..intake.dialects.media import PDF, document_at, image_at, inline
from ..security.files import open_input
from ..settings import Settings

#: What a column holds.
Kind = Literal["image", "document"]

_URLS = ("http://", "https://", "data:")
# Only these are read: a table that others wrote must not send any file of this machine.
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", PDF),
)


def part_of(kind: Kind, cell: str, settings: Settings) -> JsonObject:
    """The part that a cell names.

    Args:
        kind: of the column.
        cell: a URL (`https:`, `http:`, `data:`), or the path of a file, which is read and sent in base64.
        settings: with the bounds of rows.

    Raises:
        ValidationError: the file cannot be read, or is of another kind.
    """
    part = _at(kind, cell) if cell.lower().startswith(_URLS) else _in_file(cell, settings)
    if part is None or part["type"] != kind:
        raise ValidationError("it is no PNG, JPEG, GIF or WebP" if kind == "image" else "it is no PDF")
    return part


def _at(kind: Kind, url: str) -> JsonObject | None:
    if kind == "image":
        return image_at(url)
    if url[:5].lower() == "data:":
        return document_at(url)
    return {"type": "document", "source_type": "url", "media_type": PDF, "data": url}


def _in_file(path: str, settings: Settings) -> JsonObject | None:
    with open_input(Path(path), settings.of(Bounds).max_row_bytes) as stream:
        content = stream.read()
    media_type = _type_of(content)
    return None if media_type is None else inline(media_type, base64.b64encode(content).decode())


def _type_of(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES if content.startswith(signature)), None)
