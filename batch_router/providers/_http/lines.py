"""Files of answers that follow each other in one stream."""

from typing import BinaryIO


class LineJoiner:
    """Writes the chunks of one file of lines, and ends its last line, so that another file may follow."""

    def __init__(self, into: BinaryIO) -> None:
        self._into = into
        self._last = b"\n"

    def write(self, chunk: bytes) -> None:
        """Write the next chunk of the file."""
        self._into.write(chunk)
        self._last = chunk[-1:] or self._last

    def end(self) -> None:
        """End the last line, if the file did not."""
        if self._last != b"\n":
            self._into.write(b"\n")
