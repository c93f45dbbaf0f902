"""The parts of a message."""

from typing import Literal

import msgspec

from ..exceptions import ValidationError


class TextContent(msgspec.Struct, kw_only=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text."""

    text: str

    @property
    def type(self) -> Literal["text"]:
        """The part's tag on the wire."""
        return "text"


class ImageContent(msgspec.Struct, kw_only=True, tag_field="type", tag="image", forbid_unknown_fields=True):
    """An image.

    Attributes:
        source_type: whether `data` holds the image or says where it lies.
        media_type: `image/jpeg`, `image/png`, `image/gif` or `image/webp`.
        data: base64 without the `data:` prefix, or a URL.
    """

    source_type: Literal["base64", "url"]
    media_type: str
    data: str

    def __post_init__(self) -> None:
        _check_source(self.source_type)
        if not self.media_type.startswith("image/"):
            raise ValidationError(f"media_type of an image must start with 'image/', not {self.media_type!r}")

    @property
    def type(self) -> Literal["image"]:
        """The part's tag on the wire."""
        return "image"


class DocumentContent(msgspec.Struct, kw_only=True, tag_field="type", tag="document", forbid_unknown_fields=True):
    """A PDF.

    Attributes:
        source_type: whether `data` holds the document or says where it lies.
        media_type: `application/pdf`.
        data: base64 without the `data:` prefix, or a URL.
    """

    source_type: Literal["base64", "url"]
    media_type: str
    data: str

    def __post_init__(self) -> None:
        _check_source(self.source_type)

    @property
    def type(self) -> Literal["document"]:
        """The part's tag on the wire."""
        return "document"


Content = TextContent | ImageContent | DocumentContent


def _check_source(source_type: str) -> None:
    # msgspec checks this in a JSON row, but not when the class is called.
    if source_type not in ("base64", "url"):
        raise ValidationError(f"source_type must be 'base64' or 'url', not {source_type!r}")
