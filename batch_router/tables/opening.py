"""The bytes of a table's file: unpacked, in UTF-8."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ..exceptions import ValidationError
from ..intake.check import input_file
from ..intake.recognise import recognise_binary, wide_encoding
from ..security.printable import printable
from ..settings import Settings

_BLOCK = 1 << 18
_SHOWN, _LONGEST = 500, 5000
_GZIP = b"\x1f\x8b"

# Kinds of tables whose readers this version does not have, by their first bytes.
_NOT_YET = (
    (b"PAR1", "a Parquet file; it needs pyarrow, which this version does not use: export the table as CSV"),
    (b"ARROW1", "an Arrow file; it needs pyarrow, which this version does not use: export the table as CSV"),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed with zstd; it needs zstandard, which this version does not use: unpack it first with zstd -d",
    ),
)


def refuse(name: Path, what: str, line: int | None = None) -> ValidationError:
    """The error of a table that cannot be read.

    Args:
        name: of the table.
        what: is wrong with it; may quote it.
        line: that is meant, counted from 1.
    """
    where = printable(str(name), _SHOWN) + (f", line {line}:" if line is not None else "")
    return ValidationError(f"{where} {printable(what, _LONGEST)}")


def refuse_row(name: Path, number: int, what: str) -> ValidationError:
    """The same of a row, which may have several lines; rows are counted from 1, without the names of columns."""
    return ValidationError(f"{printable(str(name), _SHOWN)}, row {number}: {printable(what, _LONGEST)}")


@contextmanager
def open_table(path: Path, name: Path, settings: Settings) -> Iterator[BinaryIO]:
    """The table in UTF-8, at its start, perhaps with a byte order mark.

    Args:
        path: of the file.
        name: what errors call it.
        settings: with the bounds of inputs.

    Raises:
        ValidationError: the file is none of a table, or cut short; also while it is read.
    """
    with input_file(path, settings) as file:
        try:
            yield _in_utf8(_unpacked(file), name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise refuse(name, f"is damaged: {error}; make the archive again") from None


def beginning_of(stream: BinaryIO) -> bytes:
    """The first bytes of a stream, which stays at its start."""
    return cast(io.BufferedReader, stream).peek(_BLOCK)[:_BLOCK]


def _unpacked(file: BinaryIO) -> BinaryIO:
    if beginning_of(file)[:2] != _GZIP:
        return file
    return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)), _BLOCK)


def _in_utf8(stream: BinaryIO, name: Path) -> BinaryIO:
    beginning = beginning_of(stream)
    for signature, kind in _NOT_YET:
        if beginning.startswith(signature):
            raise refuse(name, f"is {kind}")
    if encoding := wide_encoding(beginning):
        return io.BufferedReader(_Recoded(stream, encoding, name), _BLOCK)
    if what := recognise_binary(beginning):
        raise refuse(name, what)
    return stream


class _Recoded(io.RawIOBase):
    """A stream of another encoding, as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str, name: Path) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._encoding = encoding
        self._name = name
        self._ready = b""

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; 0: the end."""
        while not self._ready:
            block = self._stream.read(_BLOCK)
            try:
                self._ready = self._decoder.decode(block, final=not block).encode()
            except UnicodeError:
                raise refuse(self._name, f"is not valid {self._encoding}; save it as UTF-8") from None
            if not block:
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count
