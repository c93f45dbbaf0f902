"""Reading a provider's JSON answers leniently: only the fields that the road needs, and none of the SDK's models."""

import re
from datetime import datetime
from typing import Any

import msgspec

from .errors import Errors

# Names of jobs and files become parts of URLs. Those of a gateway may say where they lead, as LiteLLM's with 300.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=-]{0,999}")
_LONGEST_LABEL = 200
# Cursors of pages become parameters of URLs.
_CURSOR = re.compile(r"[!-~]{1,2000}")
# No job has more rows, and no file more bytes.
_HIGHEST_COUNT = 10**12
# Seconds since 1970: the year 5138.
_LATEST = 1e11


class Answers:
    """Reads one provider's answers.

    Args:
        errors: makes the error of an answer that cannot be read.
    """

    def __init__(self, errors: Errors[Any]) -> None:
        self._errors = errors

    def read(self, content: bytes) -> dict[str, Any]:
        """The object of an answer.

        Raises:
            ProtocolError: it is none; quotes its start.
        """
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._errors.not_an_object(content) from error
        if not isinstance(value, dict):
            raise self._errors.not_an_object(content)
        return value

    def text(self, answer: dict[str, Any], field: str) -> str:
        """A field that must be a text.

        Raises:
            ProtocolError: it is not.
        """
        value = answer.get(field)
        if not isinstance(value, str):
            raise self._errors.protocol(f"answered without a usable {field!r}")
        return value

    def name(self, answer: dict[str, Any], field: str, folder: str = "") -> str:
        """A field that must be a name of a job or of a file.

        Args:
            answer: has the field.
            field: its key.
            folder: what each such name begins with: "files/".

        Raises:
            ProtocolError: it is none that can be a part of a URL.
        """
        return self.known_name(self.text(answer, field), folder)

    def known_name(self, name: str, folder: str = "") -> str:
        """The same of a name that is at hand."""
        if name.startswith(folder) and ".." not in name and _NAME.fullmatch(name, len(folder)):
            return name
        raise self._errors.protocol(f"answered with a name that is not one: {self._errors.quote(name)}")

    def names(self, *found: Any, folder: str = "") -> tuple[str, ...]:
        """The same of those that are there."""
        return tuple(self.known_name(name, folder) for name in found if isinstance(name, str))

    def cursor(self, page: dict[str, Any], field: str) -> str | None:
        """The cursor of the next page; None: this is the last.

        Raises:
            ProtocolError: it is none that can be a parameter of a URL.
        """
        if not page.get(field):
            return None
        cursor = self.text(page, field)
        if not _CURSOR.fullmatch(cursor):
            raise self._errors.protocol(f"answered with a cursor that is not one: {self._errors.quote(cursor)}")
        return cursor


def count_of(value: Any) -> int:
    """A count, which Google's JSON has as a text; 0 for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(_HIGHEST_COUNT)):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= _HIGHEST_COUNT else 0


def label_of(value: Any) -> str | None:
    """A label; none of ours is as long as a text can be."""
    return value if isinstance(value, str) and len(value) <= _LONGEST_LABEL else None


def moment_of(value: Any) -> float | None:
    """Seconds since 1970; None for anything else."""
    return value if isinstance(value, int | float) and 0 <= value <= _LATEST else None


def seconds_of(time: Any) -> float | None:
    """RFC 3339 in seconds since 1970; None for anything else."""
    try:
        return moment_of(datetime.fromisoformat(time).timestamp())
    except (TypeError, ValueError, OverflowError, OSError):
        return None
