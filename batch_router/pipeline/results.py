"""Reading what the road brought back: the parts of a batch, merged into input order as they are read."""

import heapq
from collections.abc import Iterator
from typing import Any

import msgspec

from ..storage import LocalStorage

_decode_row_id = msgspec.json.Decoder(tuple[int, str]).decode


def read_results(storage: LocalStorage, manifest: dict[str, Any]) -> Iterator[bytes]:
    """The lines of a finished batch's results in input order.

    Shards of several models interleave, those of one follow each other. A part is opened when the row before its first
    has been read, so that a batch of thousands of shards holds few files open.
    """
    parts = [part for part in manifest["parts"] if part["results"]]
    # (next row, part, its line, the lines after it); the line of a part that is not open yet is None
    heads: list[tuple[int, int, bytes | None, Iterator[tuple[int, bytes]]]] = [
        (part["first_row"], number, None, _read_part(storage, part)) for number, part in enumerate(parts)
    ]
    heapq.heapify(heads)
    while heads:
        _, number, line, rest = heads[0]
        if line is not None:
            yield line
        following = next(rest, None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following[0], number, following[1], rest))


def _read_part(storage: LocalStorage, part: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    with storage.open(part["results"]) as results, storage.open(part["row_ids"]) as row_ids:
        for line, row_id in zip(results, row_ids, strict=True):
            yield _decode_row_id(row_id)[0], line
