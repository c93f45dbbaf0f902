r"""Bytes to lines and values: streaming, split on `\n` only.

`str.splitlines()` and text mode would also split at U+2028, U+2029 and U+0085, which are ordinary characters inside a
JSON string: rows with them would be torn. Iterating over a binary file splits on `\n` and nothing else.
"""

import io
import json
import math
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple

import msgspec
import xxhash

_BLOCK = 1 << 18
_BOM = b"\xef\xbb\xbf"
_BLANK = _BOM + b" \t\r\n\v\f"
# Bytes that are kept of each end of a line that is too long.
_END = 4096
_decode = msgspec.json.decode
# Python refuses to read or write integers of more than 4300 digits.
_MOST_DIGITS = 4000

#: Shorter lines hold too few values to matter: they are not counted.
LARGE_LINE = 1 << 20
#: What is wrong with a value that no parser here reads; Python bounds the depth, so that its stack does not overflow.
TOO_DEEP = f"nested too deeply: about {sys.getrecursionlimit():,} levels are the most"


class LongLine(NamedTuple):
    """A line that is longer than it may be; what is between its ends was passed over.

    Attributes:
        head: its first bytes.
        tail: its last bytes.
        size: of all of it, in bytes.
    """

    head: bytes
    tail: bytes
    size: int


Line = bytes | LongLine


def bounded_lines(stream: BinaryIO, longest: int) -> Iterator[Line]:
    r"""The lines of a stream, each with its `\n` if it has one.

    Args:
        stream: is read in order; no more than one line of it is held.
        longest: bytes of a line, without its `\n`; a longer one is a `LongLine`.
    """
    while line := stream.readline(longest + 1):
        if len(line) > longest and not line.endswith(b"\n"):
            yield _pass_over(stream, line)
        else:
            yield line


def read_lines(stream: BinaryIO, longest: int) -> Iterator[Line]:
    """The same of a file that a user may have written: a byte order mark in front is dropped."""
    lines = bounded_lines(stream, longest)
    first = next(lines, b"")
    if isinstance(first, bytes):
        first = first.removeprefix(_BOM)
    return chain([first] if first else [], lines)


def is_blank(stream: BinaryIO) -> bool:
    """Whether what is left of a stream is white space, perhaps with a byte order mark."""
    return not any(block.strip(_BLANK) for block in iter(lambda: stream.read(_BLOCK), b""))


def _pass_over(stream: BinaryIO, line: bytes) -> LongLine:
    size, tail = len(line), line[-_END:]
    while not tail.endswith(b"\n") and (more := stream.readline(_BLOCK)):
        size += len(more)
        tail = (tail + more)[-_END:]
    return LongLine(line[:_END], tail, size)


def has_more_values(line: bytes, most: int) -> bool:
    """Whether a large line may hold more than `most` JSON values. Commas and brackets in its texts count, too."""
    return len(line) > LARGE_LINE and line.count(b",") + line.count(b"[") + line.count(b"{") > most


class HashingReader(io.RawIOBase):
    """A file that is hashed as it is read: the hash, the 128 bits of XXH3, is that of the very bytes that were read.

    A tenth of SHA-256's cost. It guards against accidents, not against two files made to share a hash.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = xxhash.xxh3_128()

    def readable(self) -> bool:
        """As its base has it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As its base has it."""
        length: int = self._file.readinto(buffer)  # type: ignore[attr-defined] # raw and buffered files have it
        self._digest.update(memoryview(buffer)[:length])
        return length

    def hexdigest(self) -> str:
        """The hash of what was read so far, in hex."""
        return self._digest.hexdigest()


def is_clean(line: bytes) -> bool:
    """Whether a line is valid UTF-8: the one thing that msgspec does not look at in what it skips."""
    if line.isascii():
        return True
    try:
        str(line, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decode_leniently(line: bytes) -> tuple[Any, bool]:
    """A JSON value, and whether it had to be repaired.

    Raises:
        ValueError: the line is not JSON at all.
    """
    try:
        return _decode(line), False
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode(repair(line)), True
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def repair(line: bytes) -> bytes:
    """The line as valid JSON.

    What strict JSON refuses and providers send (NaN, lone surrogates, invalid UTF-8, numbers that no computer has) is
    replaced by null or U+FFFD: a paid answer is not lost over a character.

    Raises:
        ValueError: the line is not JSON at all.
    """
    try:
        value = _loads(line.decode("utf-8", "replace"))
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    del value  # of a large line it is large, too
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate cannot be written as UTF-8 again: let it pass once, and replace what it left.
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _bounded(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


_loads = partial(json.loads, parse_constant=lambda _: None, parse_float=_finite, parse_int=_bounded)
