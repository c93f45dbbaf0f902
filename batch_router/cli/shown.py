"""What `up` shows: the lines of its processes, and texts of its own."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from honcho.colour import get_colours
from honcho.printer import Message

from .terminal import SafePrinter, is_read, silence, tell


class Shown:
    """The stdout of `up`. A line that cannot be written, because a disk is full or the reader is gone, is left out.

    Args:
        names: of the processes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._colours = dict(zip(names, get_colours(), strict=False))
        self._printer = SafePrinter(width=max(map(len, self._colours)))

    def line(self, name: str, data: bytes) -> None:
        """A line of a process."""
        colour = self._colours[name]
        with suppress(OSError):
            self._printer.write(Message(type="line", data=data, time=datetime.now(), name=name, colour=colour))

    def tell(self, text: str) -> None:
        """A text of the stack's own, so that a command in it can be copied."""
        with suppress(OSError):
            tell(text)

    def has_reader(self) -> bool:
        """Whether it is read. Once it is not, nothing is written any more."""
        if is_read():
            return True
        silence()
        return False
