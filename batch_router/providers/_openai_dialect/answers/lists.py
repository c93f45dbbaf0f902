"""Bodies with a list of data (embeddings, images) to results. Of any other body `response` has all but the model."""

import math
import sys
from array import array
from base64 import b64decode
from typing import Any

import msgspec

from ....core import ResultStatus, UnifiedResult
from ..._rows.shapes import Shape
from .images import image_at, image_of
from .usage import WireUsage, unified_usage


class _Item(msgspec.Struct, gc=False):
    index: int | None = None
    embedding: list[float] | str | None = None
    b64_json: str | None = None
    url: str | None = None


class _List(msgspec.Struct, gc=False):
    data: list[_Item] | None = None
    output_format: str | None = None
    model: str | None = None
    usage: WireUsage | None = None


_lists = Shape(_List)


def decode_list(custom_id: str, body: msgspec.Raw, request_id: str | None) -> UnifiedResult:
    """The result of a list: `embeddings` has the numbers of each input in its place, `images` the images."""
    found = _lists.read(body)
    items = found.data or []
    embeddings = _embeddings(items) if any(item.embedding for item in items) else []
    return UnifiedResult(
        custom_id=custom_id,
        status=ResultStatus.SUCCEEDED,
        images=[image for item in items if (image := _image(item, found.output_format))],
        usage=unified_usage(found.usage) if found.usage else None,
        model=found.model,
        request_id=request_id,
        response=body,
        embedding=(embeddings[0] if embeddings else None) or msgspec.UNSET,
        embeddings=embeddings if len(embeddings) > 1 else msgspec.UNSET,
    )


def _image(item: _Item, output_format: str | None) -> dict[str, Any] | None:
    if item.b64_json:
        return image_of(item.b64_json, output_format)
    return image_at(item.url) if item.url else None


def _embeddings(items: list[_Item]) -> list[list[float]]:
    """In the order of the inputs; empty where the numbers cannot be read."""
    indexes = [item.index for item in items if item.index is not None]
    if sorted(indexes) == list(range(len(items))):
        items = sorted(items, key=lambda item: item.index or 0)
    return [_numbers(item.embedding) for item in items]


def _numbers(embedding: list[float] | str | None) -> list[float]:
    """The numbers; with `encoding_format: base64` they are little-endian 32-bit floats."""
    if not isinstance(embedding, str):
        return embedding or []
    numbers = array("f")
    try:
        numbers.frombytes(b64decode(embedding, validate=True))
    except ValueError:
        return []
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist() if all(map(math.isfinite, numbers)) else []
