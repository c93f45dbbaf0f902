"""The loggers of this package: what they write cannot forge a line or steer a terminal, wherever its parts are from."""

import logging
import traceback
from collections.abc import Mapping

from .json_lines import JsonLines
from .printable import printable, printable_lines

# Characters of one argument, and of one traceback, that are logged.
_LONGEST = 2000
_LONGEST_TRACEBACK = 20_000
# Stands in front of each line of a traceback, which may quote anything: none looks like a line of the log.
_INDENT = "    "


def get_logger(name: str) -> logging.Logger:
    """The logger of a module. Each record is made safe before any handler sees it, also a handler of the host's."""
    logger = logging.getLogger(name)
    logger.addFilter(_make_safe)
    return logger


def log_as_json() -> None:
    """Have all loggers of this process write JSON lines to stderr. For a program of our own, never in a host."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)


def _make_safe(record: logging.LogRecord) -> bool:
    """Numbers stay, all other arguments are bounded and printable; the traceback is the text that formatters show."""
    record.msg = printable(str(record.msg))
    if isinstance(record.args, Mapping):
        record.args = {name: _safe(value) for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(map(_safe, record.args))
    if record.exc_info:
        lines = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_text = _INDENT + printable_lines(lines, _LONGEST_TRACEBACK).replace("\n", f"\n{_INDENT}")
    return True


def _safe(argument: object) -> object:
    return argument if isinstance(argument, int | float) else printable(str(argument), _LONGEST)
