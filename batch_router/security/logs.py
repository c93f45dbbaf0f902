"""The loggers of this package: what they write cannot forge a line or steer a terminal, wherever its parts are from."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

from .printable import printable, printable_lines

# Characters of one argument, and of one traceback, that are logged.
_LONGEST = 2000
_LONGEST_TRACEBACK = 20_000

_Raised = tuple[type[BaseException], BaseException, TracebackType | None]


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger whose arguments may come from outside: numbers stay, all else is bounded and made printable."""

    def log(self, level: int, msg: object, *args: object, exc_info: object = None, **options: Any) -> None:
        """Write a line, and below it the traceback of an error, if there is one."""
        if not self.isEnabledFor(level):
            return
        text = str(msg)
        if raised := _raised(exc_info):
            text, args = f"{text}\n%s", (*args, _Traceback(raised))
        # One frame more than usual is between the caller and the logger: this one.
        self.logger.log(level, text, *map(_safe, args), stacklevel=2, **options)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Nothing is added."""
        return msg, kwargs


class _Traceback:
    def __init__(self, raised: _Raised) -> None:
        self._raised = raised

    def __str__(self) -> str:
        return "".join(traceback.format_exception(*self._raised)).rstrip()


def get_logger(name: str) -> Log:
    """The logger of a module."""
    return Log(logging.getLogger(name))


def _raised(exc_info: object) -> _Raised | None:
    """As `logging` takes it: True, an exception or a triple."""
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    found = exc_info if isinstance(exc_info, tuple) else sys.exc_info() if exc_info else (None, None, None)
    kind, error, trace = found
    return (kind, error, trace) if kind is not None and error is not None else None


def _safe(argument: object) -> object:
    if isinstance(argument, int | float):
        return argument
    if isinstance(argument, _Traceback):
        return printable_lines(str(argument), _LONGEST_TRACEBACK)
    return printable(str(argument), _LONGEST)
