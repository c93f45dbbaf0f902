"""The terminal: whatever the command line writes goes through here, for most of it was written by others.

Rich's markup and emoji codes mean nothing here, and characters that steer a terminal are shown as escapes.
"""

import os
import select
import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec
from honcho.printer import Printer
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..security.printable import printable, printable_json, printable_lines

# Characters of one text on a console, such as the cell of a table, and of all that is said at once.
_LONGEST = 2000
_LONGEST_SPEECH = 20_000


class SafeConsole(Console):
    """Shows texts as they are: bounded, printable, and without a meaning for rich."""

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        **_: object,
    ) -> Text:
        """What rich makes of every text that it is given, also of a table's cells."""
        return Text(printable(text, _LONGEST), style=style, justify=justify, overflow=overflow)


def stdout() -> Console:
    """The console for what a command was asked for."""
    return SafeConsole()


def stderr() -> Console:
    """The console for everything else."""
    return SafeConsole(stderr=True)


def line(*parts: str | tuple[str, str]) -> Text:
    """A line of texts, each by itself or with its style."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((printable(text, _LONGEST), style) for text, style in pairs))


def table(*columns: str, right: Iterable[str] = (), title: str | None = None) -> Table:
    """A table without lines; the columns of `right` are numbers."""
    made = Table(
        box=None,
        padding=(0, 2),
        header_style="dim",
        show_header=bool(columns),
        title=title,
        title_justify="left",
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    return made


def say(text: str) -> None:
    """A text for people, on stderr; it may have lines."""
    click.echo(printable_lines(text, _LONGEST_SPEECH), err=True)


def tell(text: object) -> None:
    """A line that was asked for, such as an id or a path: for a program as it is."""
    click.echo(printable(str(text)) if sys.stdout.isatty() else str(text))


def tell_json(value: Any) -> None:
    """A line of JSON that was asked for."""
    tell_lines([msgspec.json.encode(value) + b"\n"])


def tell_lines(lines: Iterable[bytes]) -> bool:
    """Write JSON lines to stdout, for a program as they are; False if the reader has closed it (`| head`)."""
    if sys.stdout.isatty():
        lines = map(_shown, lines)
    try:
        sys.stdout.buffer.writelines(lines)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
        return False
    return True


def silence() -> None:
    """Write to stdout no more: its reader is gone, and Python would complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_read() -> bool:
    """Whether stdout has a reader: False for a pipe whose other end is closed, and a terminal that is."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    return not any(found & (select.POLLERR | select.POLLHUP) for _, found in watch.poll(0))


def _shown(json_line: bytes) -> bytes:
    text = json_line.rstrip(b"\n").decode(errors="backslashreplace")
    return printable_json(text).encode() + b"\n"


class SafePrinter(Printer):  # type: ignore[misc] # honcho has no types
    """Shows what the processes of the stack write."""

    def write(self, message: Any) -> None:
        """A line, in bytes, or a text of honcho's own."""
        data = message.data
        text = data.decode(errors="replace") if isinstance(data, bytes) else data
        super().write(message._replace(data=printable_lines(text.removesuffix("\n"), _LONGEST_SPEECH)))
