"""Where each row's answer lies among the answers of a shard, and how it reads."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..core import ErrorType, ResultError, ResultStatus, UnifiedResult
from ..providers import Codec
from ..state.items import Shard
from ..storage import ReadRange, Storage

_NOWHERE = -1
_MOST_DIGITS = 9
_QUOTE = 200  # bytes of an unreadable answer that its error shows


class Located(NamedTuple):
    """By row number: where its answer begins, and its bytes. `unexpected` counts answers of no row, or that repeat."""

    offsets: "array[int]"
    lengths: "array[int]"
    unexpected: int


def locate(storage: Storage, shard: Shard, codec: Codec) -> Located:
    """One pass over the answers; 16 bytes per row."""
    offsets = array("q", [_NOWHERE]) * shard.rows
    lengths = array("q", [0]) * shard.rows
    unexpected = 0
    if shard.answers is None:
        return Located(offsets, lengths, 0)
    prefix = f"{shard.label}-"
    offset = 0
    with storage.open(shard.answers) as stream:
        for line in stream:  # a binary file splits on \n only
            length = len(line)
            row = _row_number(codec.read_row_id(line), prefix, shard.rows)
            if row is not None and offsets[row] == _NOWHERE:
                offsets[row] = offset
                lengths[row] = length
            elif not line.isspace():
                unexpected += 1
            offset += length
    return Located(offsets, lengths, unexpected)


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

    def __init__(self, read: ReadRange, located: Located, codec: Codec) -> None:
        self._read = read
        self._offsets, self._lengths, _ = located
        self._decode = codec.decode
        self.repaired = 0

    def result(self, row: int, custom_id: str) -> UnifiedResult | None:
        """The row's result; None if the provider returned no answer to it."""
        offset = self._offsets[row]
        if offset == _NOWHERE:
            return None
        line = self._read(offset, self._lengths[row])
        try:
            result, repaired = self._decode(line, custom_id)
        except ValueError as error:
            return _malformed(line, custom_id, error)
        self.repaired += repaired
        return result


@contextmanager
def open_answers(storage: Storage, shard: Shard, codec: Codec, located: Located) -> Iterator[AnswerReader]:
    """A reader of the shard's answers, if it has any."""
    if shard.answers is None:
        yield AnswerReader(lambda *_: b"", located, codec)
        return
    with storage.ranges(shard.answers) as read:
        yield AnswerReader(read, located, codec)


def _malformed(line: bytes, custom_id: str, error: ValueError) -> UnifiedResult:
    quoted = line[:_QUOTE].decode(errors="replace")
    message = f"the provider's answer cannot be read: {error}"
    malformed = ResultError(type=ErrorType.MALFORMED, message=message, retryable=True, raw=quoted)
    return UnifiedResult(custom_id=custom_id, status=ResultStatus.ERRORED, error=malformed)
