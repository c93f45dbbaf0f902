"""The terminal: whatever the command line writes goes through here, for most of it was written by others.

Rich's markup and emoji codes mean nothing here, and characters that steer a terminal are shown as escapes.
"""

import os
import select
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import click
import msgspec
from honcho.printer import Printer
from rich.cells import cell_len
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

    def on_broken_pipe(self) -> None:
        """The reader is gone; rich would end the program with 1, which has another meaning here."""
        raise BrokenPipeError


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


def print_grid(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()
) -> None:
    """A table whose cells are never cut, whatever the console's width."""
    for each in grid(columns, rows, width=width_of(console), right=right):
        console.print(each, soft_wrap=True)


def width_of(console: Console) -> int | None:
    """How wide the terminal is; None where there is none, so that lines may have any length."""
    return console.width if console.is_terminal else None


def grid(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None, right: Collection[str] = ()
) -> Iterator[Text]:
    """The lines of a table whose cells are never cut: where it is too wide, each row takes several lines.

    A column without a cell is left out.
    """
    table = [[printable(cell, _LONGEST) for cell in row] for row in (columns, *rows)]
    widths = [max(map(cell_len, cells)) if any(cells[1:]) else 0 for cells in zip(*table, strict=True)]
    for number, row in enumerate(table):
        for start, end in _folds(widths, width):
            cells = [
                " " * (widths[each] - cell_len(row[each])) + row[each]
                if columns[each] in right
                else row[each] + " " * (widths[each] - cell_len(row[each]))
                for each in range(start, end)
                if widths[each]
            ]
            yield Text(("  " if start else "") + "  ".join(cells).rstrip(), style="" if number else "dim")


def _folds(widths: Sequence[int], width: int | None) -> list[tuple[int, int]]:
    """Which columns share a line: as many as fit; a later line begins with two spaces, as does each gap."""
    starts, used = [0], 0
    for number, each in enumerate(widths):
        if width is not None and used and used + each > width:
            starts.append(number)
            used = 2
        used += each + 2 if each else 0
    return [*pairwise((*starts, len(widths)))]


def age(seconds: float) -> str:
    """How long ago something was, in one unit: `45s`, `12m`, `5h`, `3d`."""
    return brief(seconds).partition(" ")[0]


def brief(seconds: float) -> str:
    """A time span in its two largest units: `45s`, `3m 20s`, `5h 2m`, `3d 4h`."""
    left, parts = max(0, round(seconds)), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append(f"{count}{unit}")
    while len(parts) > 1 and parts[0][0] == "0":
        del parts[0]
    return " ".join(part for part in parts[:2] if part == parts[0] or part[0] != "0")


def say(text: str) -> None:
    """A text for people, on stderr; it may have lines."""
    click.echo(printable_lines(text, _LONGEST_SPEECH), err=True)


def tell(text: object) -> None:
    """A line that was asked for, such as an id or a path: for a program as it is."""
    click.echo(printable(str(text)) if sys.stdout.isatty() else str(text))


def tell_fact(as_json: bool, **fact: str) -> None:
    """A single fact that was asked for: its value as a line, or JSON with its name."""
    if as_json:
        tell_json({"version": 1, **fact})
    else:
        tell(next(iter(fact.values())))


def tell_json(value: Any) -> None:
    """A line of JSON that was asked for."""
    tell_lines([msgspec.json.encode(value) + b"\n"])


def tell_lines(lines: Iterable[bytes], *, at_once: bool = False) -> bool:
    """Write JSON lines to stdout, for a program as they are; False if the reader has closed it (`| head`).

    Args:
        lines: each with its newline.
        at_once: whether each is there to be read before the next one is waited for.
    """
    if sys.stdout.isatty():
        lines = map(_shown, lines)
    try:
        for each in lines:
            sys.stdout.buffer.write(each)
            if at_once:
                sys.stdout.flush()
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
