r"""Bytes to lines: streaming, split on `\n` only, hashed on the way.

`str.splitlines()` and text mode would also split at U+2028, U+2029 and U+0085, which are ordinary characters inside a
JSON string: rows with them would be torn.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import msgspec

_BLOCK = 1 << 18
_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.decode


class BesideHash:
    """SHA-256, computed in a thread beside the reading: hashlib lets go of the interpreter lock."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sha256")

    def update(self, block: bytes) -> None:
        """Take in a block; blocks are hashed in the order of the calls."""
        self._thread.submit(self._sha256.update, block)

    def hexdigest(self) -> str:
        """The hash of all blocks, in hex; nothing can be added after."""
        self._thread.shutdown()
        return self._sha256.hexdigest()


def read_lines(stream: BinaryIO, digest: BesideHash | None = None) -> Iterator[bytes]:
    r"""The lines of a stream without their `\n`; a byte order mark in front is dropped, blank lines are kept.

    Args:
        stream: read in blocks to its end.
        digest: is fed every block.
    """
    begun: list[bytes] = []  # the line that reaches into the next block, in pieces: rows of many MB are ordinary
    for block in _read_blocks(stream, digest):
        lines = block.split(b"\n")
        if len(lines) > 1:
            lines[0] = b"".join([*begun, lines[0]])
            begun = [lines.pop()]
            yield from lines
        else:
            begun.append(block)
    if last := b"".join(begun):
        yield last


def _read_blocks(stream: BinaryIO, digest: BesideHash | None) -> Iterator[bytes]:
    block = stream.read(_BLOCK)
    while 0 < len(block) < len(_BOM) and (more := stream.read(_BLOCK)):
        block += more
    mark = _BOM
    while block:
        if digest is not None:
            digest.update(block)
        yield block.removeprefix(mark)
        mark = b""
        block = stream.read(_BLOCK)


def is_clean(line: bytes) -> bool:
    """Whether a line can be passed on unread: valid UTF-8 without escaped surrogates, which need a look."""
    if not line.isascii():
        try:
            str(line, "utf-8")
        except UnicodeDecodeError:
            return False
    return b"\\" not in line or b"\\ud" not in line  # one byte is found many times faster than three


def decode_leniently(line: bytes) -> tuple[Any, bool]:
    """A JSON value, and whether it had to be repaired.

    What strict JSON refuses but a provider sent all the same (NaN, lone surrogates, invalid UTF-8) is read, and
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
