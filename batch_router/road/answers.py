"""Where each row's answer lies among the answers of a shard, and how it reads."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from ..bounds import Bounds, beyond
from ..core import ErrorType, ResultError, ResultStatus, UnifiedResult
from ..jsonl import LARGE_LINE, Line, LongLine, bounded_lines, has_more_values
from ..providers import Codec
from ..state.items import Shard
from ..storage import ReadRange, Storage

_NOWHERE = -1
_MOST_DIGITS = 9
_QUOTE = 200  # bytes of an unreadable answer that its error shows
# What the result of a row without an answer keeps of the provider's words: characters of a message, bytes of JSON.
_LONGEST_MESSAGE, _LONGEST_RAW = 2000, 8 << 10


class Located(NamedTuple):
    """By row number: where its answer begins, and its bytes. `unexpected` counts answers of no row, or that repeat."""

    offsets: "array[int]"
    lengths: "array[int]"
    unexpected: int

    @property
    def missing(self) -> int:
        """How many rows have no answer."""
        return self.offsets.count(_NOWHERE)


def locate(storage: Storage, shard: Shard, codec: Codec, bounds: Bounds) -> Located:
    """One pass over the answers; 16 bytes per row, and one answer within the bounds."""
    offsets = array("q", [_NOWHERE]) * shard.rows
    lengths = array("q", [0]) * shard.rows
    unexpected = 0
    prefix = f"{shard.label}-"
    offset = 0
    for line in _lines(storage, shard, bounds):
        if isinstance(line, LongLine) or len(line) > LARGE_LINE:
            row_id = row_id_of(line, shard, codec, bounds)
            length = line.size if isinstance(line, LongLine) else len(line)
        else:
            row_id, length = codec.read_row_id(line), len(line)
        row = _row_number(row_id or _quoted_id(line, shard.label), prefix, shard.rows)
        if row is not None and offsets[row] == _NOWHERE:
            offsets[row] = offset
            lengths[row] = length
        elif isinstance(line, LongLine) or not line.isspace():
            unexpected += 1
        offset += length
    return Located(offsets, lengths, unexpected)


def _lines(storage: Storage, shard: Shard, bounds: Bounds) -> Iterator[Line]:
    """The lines of all files, one after the other."""
    for fetched in shard.answers:
        with storage.open(fetched.name) as stream:
            yield from bounded_lines(stream, bounds.max_answer_bytes)


def row_id_of(line: Line, shard: Shard, codec: Codec, bounds: Bounds) -> str | None:
    """The row id of any answer; one that is beyond a bound is not parsed for it."""
    if isinstance(line, bytes) and not has_more_values(line, bounds.max_answer_values):
        return codec.read_row_id(line)
    return _quoted_id(line, shard.label)


def _quoted_id(line: Line, label: str) -> str | None:
    """The first row id in a line that is not parsed. In a text its quotes have backslashes, so it is no part of one."""
    looked_at = b"\n".join((line.head, line.tail)) if isinstance(line, LongLine) else line
    found = re.search(rb'"(%b-[0-9]+)"' % re.escape(label.encode()), looked_at)
    return found[1].decode() if found else None


def _row_number(row_id: str | None, prefix: str, rows: int) -> int | None:
    if row_id is None or not row_id.startswith(prefix):
        return None
    digits = row_id[len(prefix) :]
    if len(digits) > _MOST_DIGITS or not digits.isdecimal():
        return None
    number = int(digits)
    return number if number < rows and digits == str(number) else None


class AnswerReader:
    """Reads the answers of a shard by row number.

    Attributes:
        repaired: answers so far that were not valid JSON.
    """

    def __init__(self, read: ReadRange, located: Located, codec: Codec, bounds: Bounds) -> None:
        self._read = read
        self._offsets, self._lengths, _ = located
        self._decode = codec.decode
        self._bounds = bounds
        self._small = min(LARGE_LINE, bounds.max_answer_bytes)
        self.repaired = 0

    def result(self, row: int, custom_id: str) -> UnifiedResult | None:
        """The row's result; None if the provider returned no answer to it."""
        offset = self._offsets[row]
        if offset == _NOWHERE:
            return None
        length = self._lengths[row]
        if length > self._small and (too_large := self._refuse(offset, length)):
            return unreadable(custom_id, too_large)
        line = self._read(offset, length)
        try:
            result, repaired = self._decode(line, custom_id)
        except ValueError as error:
            return unreadable(custom_id, str(error), line)
        self.repaired += repaired
        return result

    def _refuse(self, offset: int, length: int) -> str | None:
        bounds = self._bounds
        if length > bounds.max_answer_bytes + 1:  # with its newline
            return f"it has {length:,} bytes, {beyond('max_answer_bytes', bounds.max_answer_bytes)}"
        if has_more_values(self._read(offset, length), bounds.max_answer_values):
            return f"it has too many JSON values, {beyond('max_answer_values', bounds.max_answer_values)}"
        return None


@contextmanager
def open_answers(
    storage: Storage, shard: Shard, codec: Codec, located: Located, bounds: Bounds
) -> Iterator[AnswerReader]:
    """A reader of the shard's answers, if it has any: offsets count through all its files."""
    starts = [0, *accumulate(fetched.size for fetched in shard.answers)]
    with ExitStack() as files:
        reads = [files.enter_context(storage.ranges(fetched.name)) for fetched in shard.answers]

        def read(offset: int, length: int) -> bytes:
            file = bisect_right(starts, offset, hi=len(reads)) - 1
            return reads[file](offset - starts[file], length)

        yield AnswerReader(reads[0] if len(reads) == 1 else read, located, codec, bounds)


def unreadable(custom_id: str, why: str, line: bytes = b"") -> UnifiedResult:
    """The result of a row whose answer cannot be read; the answer itself stays in the storage."""
    error = ResultError(
        type=ErrorType.MALFORMED,
        message=f"the provider's answer cannot be read: {why}; the storage keeps it as it came",
        retryable=bool(line),
        raw=line[:_QUOTE].decode(errors="replace") or None,
    )
    return UnifiedResult(custom_id=custom_id, status=ResultStatus.ERRORED, error=error)


def shown(result: UnifiedResult, label: str, row: int) -> UnifiedResult:
    """A result whose error names the row by the user's id, where the provider's words have ours."""
    error, wire = result.error, f"{label}-{row}"
    if error is None or wire not in error.message:
        return result
    message = re.sub(rf"\b{re.escape(wire)}\b", lambda _: result.custom_id, error.message)
    return replace(result, error=replace(error, message=message))


def bounded(result: UnifiedResult) -> UnifiedResult:
    """A result without an answer, with a bounded part of the provider's words: the answers in the storage have all."""
    if result.error is None:
        return result
    error = replace(result.error, message=result.error.message[:_LONGEST_MESSAGE], raw=_start_of(result.error.raw))
    response = result.response if _start_of(result.response) is result.response else None
    return replace(result, error=error, response=response)


def _start_of(value: Any) -> Any:
    """The value, or a text with the start of its JSON if it is large."""
    if value is None:
        return None
    try:
        encoded = msgspec.json.encode(value)
    except RecursionError:
        return None
    return value if len(encoded) <= _LONGEST_RAW else encoded[:_LONGEST_MESSAGE].decode(errors="replace")
