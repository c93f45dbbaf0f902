"""Texts that match a regular expression."""

import re
from collections.abc import Callable, Iterable
from random import Random
from re import _parser  # type: ignore[attr-defined] # the parser of `re`, which the standard library does not export
from typing import Any

_TRIES = 200
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALL = [chr(code) for code in range(32, 127)]
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def match_of(pattern: str, chooser: Random, is_fit: Callable[[str], bool] = lambda _: True) -> str | None:
    """A text in which the pattern is found and that is fit otherwise, too; None if none is found soon."""
    try:
        parsed = _parser.parse(pattern)
    except (re.error, OverflowError):
        return None  # a pattern of another dialect
    for _ in range(_TRIES):
        text = _Writer(chooser).write(parsed)
        if is_fit(text) and re.search(pattern, text):
            return text
    return None


class _Writer:
    """Writes a text along a parsed pattern; what looks ahead or behind is left to chance."""

    def __init__(self, chooser: Random) -> None:
        self._chooser = chooser
        self._groups: dict[int, str] = {}

    def write(self, parsed: Iterable[tuple[Any, Any]]) -> str:
        return "".join(self._write(str(operation), argument) for operation, argument in parsed)

    def _write(self, operation: str, argument: Any) -> str:
        match operation:
            case "LITERAL":
                return chr(argument)
            case "NOT_LITERAL":
                return self._chooser.choice([each for each in _LETTERS if each != chr(argument)])
            case "ANY":
                return self._chooser.choice(_LETTERS)
            case "IN":
                return self._chooser.choice(_members(argument))
            case "BRANCH":
                return self.write(self._chooser.choice(argument[1]))
            case "SUBPATTERN":
                self._groups[argument[0]] = text = self.write(argument[3])
                return text
            case "GROUPREF":
                return self._groups.get(argument, "")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repeat(*argument)
            case "ATOMIC_GROUP":
                return self.write(argument)
        return ""

    def _repeat(self, least: int, most: int, parsed: Any) -> str:
        count = self._chooser.randint(least, min(int(most), least + self._chooser.choice([1, 3, 12])))
        return "".join(self.write(parsed) for _ in range(count))


def _members(argument: list[tuple[Any, Any]]) -> list[str]:
    """The printable characters of a class."""
    found: list[str] = []
    for operation, value in argument:
        match str(operation):
            case "LITERAL":
                found.append(chr(value))
            case "RANGE":
                found += [chr(code) for code in range(value[0], min(value[1], value[0] + 200) + 1)]
            case "CATEGORY":
                found += [each for each in _ALL if re.match(_CATEGORIES[str(value)], each)]
    if str(argument[0][0]) == "NEGATE":
        return [each for each in _ALL if each not in found] or ["é"]
    return found
