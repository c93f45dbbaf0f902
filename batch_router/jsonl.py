r"""Bytes to lines and values: streaming, split on `\n` only.

`str.splitlines()` and text mode would also split at U+2028, U+2029 and U+0085, which are ordinary characters inside a
JSON string: rows with them would be torn. Iterating over a binary file splits on `\n` and nothing else.
"""

import io
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import xxhash

_BLOCK = 1 << 18
_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.decode


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    r"""The lines of a stream, each with its `\n` if it has one; a byte order mark in front is dropped."""
    first = stream.readline().removeprefix(_BOM)
    return chain([first] if first else [], stream)  # `yield from` would close the stream with the generator


def hash_file(path: Path) -> str:
    """The hash of a file, in hex: the 128 bits of XXH3.

    A tenth of SHA-256's cost. It guards against accidents, not against two files made to share a hash.
    """
    with path.open("rb", buffering=0) as stream:
        return hash_stream(cast(BinaryIO, stream))


def hash_stream(stream: BinaryIO) -> str:
    """The same of what is left of a stream."""
    digest = xxhash.xxh3_128()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


class HashingReader(io.RawIOBase):
    """A file that is hashed as it is read: the hash is that of the very bytes that were read."""

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
        """What `hash_file` gives for what was read so far."""
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

    What strict JSON refuses and providers send (NaN, lone surrogates, invalid UTF-8) is read, and
    replaced by null or U+FFFD: a paid answer is not lost over a character.

    Raises:
        ValueError: the line is not JSON at all.
    """
    try:
        return _decode(line), False
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    try:
        value = json.loads(line.decode("utf-8", errors="replace"), parse_constant=lambda _: None)
        # A lone surrogate cannot be written as UTF-8 again: let it pass once, and replace what it left.
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return json.loads(text), True
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
