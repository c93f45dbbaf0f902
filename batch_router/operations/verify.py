"""Whether the results in storage are those that the manifest lists, and one for each request."""

import hashlib
from collections import Counter

import msgspec

from ..core import Manifest, ManifestPart, ResultCounts, ResultStatus
from ..exceptions import UnbalancedError
from ..road.row_ids import read_row_id
from ..storage import Storage

_BLOCK = 1 << 20


class _Result(msgspec.Struct):
    custom_id: str
    status: ResultStatus


_read_result = msgspec.json.Decoder(_Result).decode


class _DifferentError(Exception):
    """How the results differ from their manifest."""


class _Rows:
    """The rows of a batch that a result was found of, a bit each."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._seen = bytearray()
        self.count = 0

    def add(self, row: int) -> str | None:
        """Note a row; what is wrong with it."""
        place, bit = row >> 3, 1 << (row & 7)
        if not 0 <= row < self._total:
            return f"row {row} is none of the {self._total} that went in"
        if place >= len(self._seen):
            self._seen.extend(bytes(place + 1 - len(self._seen)))
        if self._seen[place] & bit:
            return f"row {row} has two results"
        self._seen[place] |= bit
        self.count += 1
        return None


def verify(storage: Storage, manifest: Manifest) -> None:
    """Read the results of a batch and compare them with its manifest; it takes a bit of memory per row.

    Raises:
        UnbalancedError: they differ; says where.
        FileOperationError: an object cannot be read.
    """
    rows = _Rows(manifest.request_counts.total)
    counts = manifest.request_counts
    try:
        for part in manifest.parts:
            if part.results is not None:
                _compare_bytes(storage, part, part.results)
                _compare_rows(storage, part, part.results, rows)
        if rows.count != counts.total or rows.count != counts.written:
            raise _DifferentError(f"{counts.total} requests went in, {rows.count} results are there")
    except _DifferentError as error:
        raise UnbalancedError(
            f"the results of {manifest.batch_id} are not what its manifest says: {error}"
        ) from error.__cause__


def _compare_bytes(storage: Storage, part: ManifestPart, name: str) -> None:
    digest = hashlib.sha256()
    size = 0
    with storage.open(name) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
    if size != part.size:
        raise _DifferentError(f"{name} was written with {part.size} bytes, and has {size}")
    if digest.hexdigest() != part.sha256:
        raise _DifferentError(f"{name} has other bytes than were written")


def _compare_rows(storage: Storage, part: ManifestPart, name: str, rows: _Rows) -> None:
    counts: Counter[str] = Counter()
    with storage.open(name) as results, storage.open(part.row_ids) as row_ids:
        try:
            for line, id_line in zip(results, row_ids, strict=True):
                result, row_id = _read_result(line), read_row_id(id_line)
                counts[result.status] += 1
                if result.custom_id != row_id.custom_id:
                    raise _DifferentError(f"{name} has no result of {row_id.custom_id!r} in its place")
                if (wrong := rows.add(row_id.row)) is not None:
                    raise _DifferentError(f"{part.row_ids}: {wrong}")
        except ValueError as error:  # of the decoders too
            raise _DifferentError(f"{part.row_ids} does not fit {name}: {error}") from error
    if ResultCounts(**counts) != part.request_counts:
        raise _DifferentError(f"{name} has other counts than its manifest lists")
