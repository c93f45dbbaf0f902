"""Log records as JSON, one object a line: for programs that collect logs."""

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from .printable import printable_json, printable_lines

# Characters of a message and of a traceback: those of our own loggers are bounded before.
_LONGEST = 20_000
# A word of a message's template that names a fact (`item=%s`), what it is filled with, and what only ends the word.
_FACT = re.compile(r"(?:(?P<name>[a-z_]+)=)?(?P<value>\S+)")
_PLACE = re.compile(r"%[-+#0]*\d*(?:\.\d+)?[a-z]")
_ENDS = ":;,"
# JSON readers hold larger integers badly.
_LARGEST = 2**53


class JsonLines(logging.Formatter):
    """`time`, `level`, `logger`, `process` and `message`, then the facts of the message by their names.

    A message of ours names its facts: `action=%s item=%s next=%s`. Numbers stay numbers, all else is a text.
    """

    def __init__(self, *_: object, **__: object) -> None:
        """Of the arguments of other formatters, none has a meaning."""
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line; `time` and `level` come first, so that they can be read without a parser."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "message": printable_lines(record.getMessage(), _LONGEST),
        }
        with suppress(TypeError, ValueError, IndexError):  # another program's message, written in another way
            line = line | {name: value for name, value in _facts(record) if name not in line}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = printable_lines(record.exc_text, _LONGEST)
        return printable_json(msgspec.json.encode(line).decode())


def _facts(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """The facts that a message's template names."""
    arguments = list(record.args) if isinstance(record.args, tuple) else []
    for word in _FACT.finditer(str(record.msg)):
        text = word["value"].rstrip(_ENDS)
        taken = [arguments.pop(0) for _ in _PLACE.findall(text)]
        if word["name"]:
            yield word["name"], _value(taken[0]) if _PLACE.fullmatch(text) else _value(text % tuple(taken))


def _value(value: object) -> object:
    is_number = isinstance(value, int | float) and abs(value) < _LARGEST
    return value if is_number else printable_lines(str(value), _LONGEST)
