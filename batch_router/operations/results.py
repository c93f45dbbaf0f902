"""Reading what the road brought back: the parts of a batch, merged into input order as they are read."""

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..state.items import Shard
from ..storage import Storage

_decode_row_id = msgspec.json.Decoder(tuple[int, str]).decode


def written_parts(shards: Iterable[Shard]) -> list[dict[str, Any]]:
    """The parts that are there before the batch has ended, as its manifest will name them."""
    return [
        {"first_row": shard.first_row, "results": part.name, "row_ids": part.row_ids or shard.row_ids}
        for shard in shards
        if (part := shard.part) is not None
    ]


def read_results(storage: Storage, listed: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """The lines of these parts of a manifest in input order.

    Shards of several models interleave, those of one follow each other. A part is opened when the row before its first
    has been read, so that a batch of thousands of shards holds few files open.
    """
    parts = [part for part in listed if part["results"]]
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


def _read_part(storage: Storage, part: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    with storage.open(part["results"]) as results, storage.open(part["row_ids"]) as row_ids:
        for line, row_id in zip(results, row_ids, strict=True):
            yield _decode_row_id(row_id)[0], line
