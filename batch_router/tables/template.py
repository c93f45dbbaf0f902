"""A text with the names of columns in braces, such as `Classify: {text}`."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from ..exceptions import ValidationError
from ..security.printable import printable

_PART = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_SHOWN, _SHOWN_COLUMNS = 100, 30
_DOUBLE = "a brace that is text is written twice: {{ }}"


class _Part(NamedTuple):
    """Text, and the column whose value follows it; None: none does."""

    text: str
    column: str | None


class Template:
    """Puts the values of a row into a text.

    A name in braces is the name of a column and nothing else: `str.format` would read attributes and apply formats.

    Args:
        text: with `{column}`, and `{{` and `}}` for braces.
        option: what to call the text in errors.

    Raises:
        ValidationError: it has a brace by itself.
    """

    def __init__(self, text: str, option: str) -> None:
        self._option = option
        self._parts = list(_parts(text, option))
        self.columns = [part.column for part in self._parts if part.column is not None]

    def check(self, cells: Mapping[str, object]) -> None:
        """Make sure that a row has all columns.

        Raises:
            ValidationError: one is missing; names those that are there.
        """
        for column in self.columns:
            check_column(self._option, column, cells, f"; {_DOUBLE}")

    def render(self, cells: Mapping[str, object]) -> str:
        """The text for a row that `check` has passed."""
        return "".join(
            part.text if part.column is None else part.text + text_of(cells[part.column]) for part in self._parts
        )


def _parts(text: str, option: str) -> Iterable[_Part]:
    before, end = "", 0
    for found in _PART.finditer(text):
        before += text[end : found.start()]
        end = found.end()
        match found[0]:
            case "{{" | "}}":
                before += found[0][0]
            case "{" | "}":
                raise ValidationError(f"{option}: a single {found[0]} at character {found.start() + 1}; {_DOUBLE}")
            case name:
                yield _Part(before, name[1:-1])
                before = ""
    yield _Part(before + text[end:], None)


def check_column(option: str, column: str, cells: Mapping[str, object], remedy: str = "") -> None:
    """Make sure that a row has a column.

    Raises:
        ValidationError: it has none of this name; names those that it has.
    """
    if column not in cells:
        there = ", ".join(printable(str(name), _SHOWN) for name in list(cells)[:_SHOWN_COLUMNS])
        more = f" and {len(cells) - _SHOWN_COLUMNS} more" if len(cells) > _SHOWN_COLUMNS else ""
        raise ValidationError(f"{option}: no column {printable(column, _SHOWN)!r}; there are: {there}{more}{remedy}")


def text_of(value: object) -> str:
    """The value of a cell as text: nothing (None, NaN) is empty, dates are ISO 8601, lists and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    plain = msgspec.to_builtins(value, enc_hook=str)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
