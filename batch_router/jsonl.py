r"""Bytes to lines and values: streaming, split on `\n` only.

`str.splitlines()` and text mode would also split at U+2028, U+2029 and U+0085, which are ordinary characters inside a
JSON string: rows with them would be torn. Iterating over a binary file splits on `\n` and nothing else.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.decode


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    r"""The lines of a stream, each with its `\n` if it has one; a byte order mark in front is dropped."""
    first = stream.readline().removeprefix(_BOM)
    return chain([first] if first else [], stream)  # `yield from` would close the stream with the generator


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def hash_beside(path: Path) -> Iterator[Future[str]]:
    """The same, in a thread beside the block: hashlib lets go of the interpreter lock."""
    with ThreadPoolExecutor(1, thread_name_prefix="sha256") as thread:
        yield thread.submit(hash_file, path)


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
