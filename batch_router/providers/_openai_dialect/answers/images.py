"""Images in answers."""

import re
from typing import Any

import msgspec

_DATA_URL = re.compile(r"data:(image/[\w.+-]+)(?:;[\w.+=-]+)*;base64,", re.ASCII)
_MEDIA_TYPES = {"svg": "image/svg+xml", "jpg": "image/jpeg"}


class Link(msgspec.Struct, gc=False):
    """Where an image is, or the image as a data URL."""

    url: str | None = None


def image_at(url: str) -> dict[str, Any]:
    """The image that a URL leads to, or holds."""
    if found := _DATA_URL.match(url):
        return {"media_type": found[1], "data": url[found.end() :]}
    return {"url": url}


def image_of(data: str, output_format: str | None) -> dict[str, Any]:
    """An image in base64; the service makes PNGs unless another format was asked for."""
    name = (output_format or "png").lower()
    return {"media_type": _MEDIA_TYPES.get(name, f"image/{name}"), "data": data}
