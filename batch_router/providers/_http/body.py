"""The body of an answer, bounded as it comes and as it is: two megabytes of gzip may hold two gigabytes."""

import zlib
from collections.abc import Iterable, Iterator

import httpx2

from ...security.printable import printable
from .refused import RefusedError

#: What answers may be compressed with.
ENCODING = "gzip"

_SHOWN = 50
# Bytes that are decompressed at a time.
_PIECE = 1 << 18
# How `zlib` is told to expect gzip.
_GZIP = zlib.MAX_WBITS | 16


def is_compressed(headers: httpx2.Headers) -> bool:
    """Whether the body must be decompressed.

    Raises:
        RefusedError: it is compressed with something else, or more than once.
    """
    named = [each.strip().lower() for each in headers.get_list("content-encoding", split_commas=True)]
    encodings = [each for each in named if each not in ("", "identity")]
    if encodings not in ([], [ENCODING]):
        shown = printable(", ".join(encodings), _SHOWN)
        raise RefusedError(f"the answer is compressed with '{shown}'; only {ENCODING} was asked for")
    return bool(encodings)


def decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A body without its gzip, in small pieces.

    Raises:
        RefusedError: it is no gzip, or the end is missing.
    """
    member = zlib.decompressobj(_GZIP)
    is_whole = True  # no body at all is
    try:
        for data in pieces:
            while data:
                if member.eof:
                    member = zlib.decompressobj(_GZIP)
                yield from _inflated(member, data)
                data, is_whole = member.unused_data, member.eof
    except zlib.error as error:
        raise RefusedError("the answer says that it is gzip, and is not") from error
    if not is_whole:
        raise RefusedError("the answer ends before its gzip does")


def _inflated(member: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while piece := member.decompress(data, _PIECE):
        yield piece
        data = member.unconsumed_tail


def bounded(
    pieces: Iterable[bytes], most: int, bound: str, beyond: type[RefusedError] = RefusedError
) -> Iterator[bytes]:
    """A body of at most so many bytes.

    Args:
        pieces: the body.
        most: bytes.
        bound: what to say of a larger one: "more than 8,388,608 bytes".
        beyond: the error of a larger one.

    Raises:
        RefusedError: it is larger.
    """
    taken = 0
    for piece in pieces:
        taken += len(piece)
        if taken > most:
            raise beyond(f"the answer has {bound}")
        yield piece


def of_few_values(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """A body of JSON with at most so many values, counted by what begins or divides them.

    Raises:
        RefusedError: it has more, each of which takes memory where it is read.
    """
    left = most
    for piece in pieces:
        left -= piece.count(b",") + piece.count(b"[") + piece.count(b"{")
        if left < 0:
            raise RefusedError(f"the answer has more than {most:,} JSON values")
        yield piece


def start_of(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The first `most` bytes of a body; the rest is not read."""
    for piece in pieces:
        yield piece[:most]
        most -= len(piece)
        if most <= 0:
            return
