"""Reading results: the parts of a batch, merged into input order as they are read."""

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..core import Manifest, Price
from ..exceptions import BatchNotFinishedError, BatchNotFoundError, FileOperationError, ValidationError
from ..road.context import Context
from ..road.records import read_record
from ..road.row_ids import read_row_id
from ..security.paths import is_of_batch
from ..state.checks import corrupt
from ..state.items import Batch, Shard
from ..storage import Storage


class ResultFiles(NamedTuple):
    """The storage names of one part: its results, and the lines that say which rows they belong to; and its price."""

    first_row: int
    results: str
    row_ids: str
    price: Price | None = None


def read_manifest(context: Context, batch: Batch) -> Manifest:
    """The books of a finished batch.

    Raises:
        BatchNotFinishedError: there is no manifest yet.
        ValidationError: its payloads were deleted.
    """
    if batch.erased:
        raise ValidationError(
            f"the results of {batch.id} were deleted a while after its end, as BATCH_ROUTER_KEEP_PAYLOADS says"
        )
    if batch.manifest is None:
        raise BatchNotFinishedError(batch.id, batch.state)
    return read_record(context.storage, batch.id, batch.manifest, Manifest)


def parts_of(context: Context, batch: Batch, *, partial: bool) -> list[ResultFiles]:
    """The parts of a batch that has ended; or, if `partial` is set, those that are there by now.

    Raises:
        BatchNotFinishedError: there is no manifest yet, and `partial` is not set.
    """
    if partial and batch.manifest is None:
        return written_parts(context.store.get_shards(batch))
    return listed_parts(batch, read_manifest(context, batch))


def written_parts(shards: Iterable[Shard]) -> list[ResultFiles]:
    """The parts that are there before the batch has ended."""
    return [
        ResultFiles(shard.first_row, part.name, part.row_ids or shard.row_ids, part.price)
        for shard in shards
        if (part := shard.part) is not None
    ]


def listed_parts(batch: Batch, manifest: Manifest) -> list[ResultFiles]:
    """The parts of a batch that has ended; a shard that could not be written has none.

    Raises:
        CorruptItemError: one of them is not the batch's.
    """
    written = [(part, part.results) for part in manifest.parts if part.results]
    parts = [ResultFiles(part.first_row, results, part.row_ids, part.price) for part, results in written]
    for name in (name for part in parts for name in (part.results, part.row_ids)):
        if not is_of_batch(name, batch.provider, batch.id):
            raise corrupt(batch.id, f"its manifest lists {name!r}")
    return parts


def read_results(storage: Storage, parts: Iterable[ResultFiles]) -> Iterator[bytes]:
    """The lines of these parts in input order."""
    return (line for _, _, line in read_numbered(storage, parts))


def read_numbered(storage: Storage, parts: Iterable[ResultFiles]) -> Iterator[tuple[int, int, bytes]]:
    """The same, each with the number of its row in the batch and that of its part, both counted from 0.

    Shards of several models interleave, those of one follow each other. A part is opened when the row before its first
    has been read, so that a batch of thousands of shards holds few files open.
    """
    # (next row, part, its line, the lines after it); the line of a part that is not open yet is None
    heads: list[tuple[int, int, bytes | None, Iterator[tuple[int, bytes]]]] = [
        (part.first_row, number, None, _read_part(storage, part)) for number, part in enumerate(parts)
    ]
    heapq.heapify(heads)
    while heads:
        row, number, line, rest = heads[0]
        if line is not None:
            yield row, number, line
        following = next(rest, None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following[0], number, following[1], rest))


class NewResults:
    """The results of a batch as its shards end, each row once.

    Attributes:
        ended: whether the batch has ended, and all of them were given.
    """

    def __init__(self, context: Context, batch_id: str) -> None:
        self.ended = False
        self._context = context
        self._batch_id = batch_id
        self._read: set[str] = set()
        self._given = bytearray()  # by row number

    def look(self) -> Iterator[bytes]:
        """The lines of the parts that were written since the last look, part by part, each in input order.

        Raises:
            BatchNotFoundError: there is no such batch any more.
            BatchNotFinishedError: it has ended without a manifest: its rows were refused.
        """
        store = self._context.store
        batch = store.get_batch(self._batch_id)
        if batch is None:
            raise BatchNotFoundError(self._batch_id)
        if batch.state.is_final:
            parts = listed_parts(batch, read_manifest(self._context, batch))
        else:
            parts = written_parts(store.get_shards(batch))
        for part in parts:
            if part.results not in self._read:
                yield from self._fresh(part)
                self._read.add(part.results)
        self.ended = batch.state.is_final

    def _fresh(self, part: ResultFiles) -> Iterator[bytes]:
        """Results of rows that were not given before: a batch that a store forgot is cut again and has new parts."""
        for row, line in _read_part(self._context.storage, part):
            if row >= len(self._given):
                self._given.extend(bytes(row + 1 - len(self._given)))
            if not self._given[row]:
                self._given[row] = 1
                yield line


def _read_part(storage: Storage, part: ResultFiles) -> Iterator[tuple[int, bytes]]:
    with storage.open(part.results) as results, storage.open(part.row_ids) as row_ids:
        try:
            for line, row_id in zip(results, row_ids, strict=True):
                yield read_row_id(row_id).row, line
        except ValueError as error:  # of the decoder too
            raise FileOperationError(f"{part.row_ids} does not fit {part.results}: {error}") from error
