"""URLs of images and documents as parts."""

from typing import Any

from ...core.media import plain_media_type

PDF = "application/pdf"


def image_at(url: str) -> dict[str, Any] | None:
    """The part that an image's URL becomes; None: it is a `data:` URL of something else."""
    data = data_of(url)
    if data is None:
        return {"type": "image", "source_type": "url", "media_type": "image/*", "data": url}
    media_type, content = data
    return inline(media_type, content) if media_type.startswith("image/") else None


def document_at(url: str) -> dict[str, Any] | None:
    """The same of a document's `data:` URL."""
    media_type, content = data_of(url) or ("", "")
    return inline(media_type, content) if media_type == PDF else None


def inline(media_type: str, content: str) -> dict[str, Any] | None:
    """The part that base64 content of a type becomes; None: there is none for the type."""
    plain = plain_media_type(media_type)
    kind = kind_of_type(plain)
    if kind is None or not content:
        return None
    return {"type": kind, "source_type": "base64", "media_type": plain, "data": content}


def kind_of_type(media_type: str) -> str | None:
    """Which part holds content of a media type."""
    if media_type.startswith("image/"):
        return "image"
    return "document" if media_type == PDF else None


def data_of(url: str) -> tuple[str, str] | None:
    """Media type and base64 content of a `data:` URL, both empty where it is not in base64; None: it is another URL."""
    if url[:5].lower() != "data:":
        return None
    head, _, content = url[5:].partition(",")
    if not head.lower().rstrip().endswith(";base64"):
        return "", ""
    return plain_media_type(head), content.strip()
