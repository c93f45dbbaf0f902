"""Files of answers that follow each other in one stream."""

from codecs import BOM_UTF8
from typing import BinaryIO


class LineJoiner:
    """Writes the chunks of one file of lines without its BOM, and ends its last line, so that another may follow."""

    def __init__(self, into: BinaryIO) -> None:
        self._into = into
        self._last = b"\n"
        self._start: bytes | None = b""  # until it is known whether this is a BOM

    def write(self, chunk: bytes) -> None:
        """Write the next chunk of the file."""
        if self._start is not None:
            chunk = self._start + chunk
            if BOM_UTF8.startswith(chunk) and chunk != BOM_UTF8:
                self._start = chunk
                return
            chunk, self._start = chunk.removeprefix(BOM_UTF8), None
        self._into.write(chunk)
        self._last = chunk[-1:] or self._last

    def end(self) -> None:
        """End the last line, if the file did not."""
        if self._start:
            self._into.write(self._start)
            self._last = self._start[-1:]
        if self._last != b"\n":
            self._into.write(b"\n")
