"""Why a line is not JSON, in a sentence that says what to do. It is asked only about lines that the decoder refused."""

import json
import re
from contextlib import suppress
from typing import Any, NoReturn

from ..jsonl import LARGE_LINE
from ..security.printable import printable

_EACH = "each line must be one JSON object"
_SHOWN = 60
_PLAIN_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_WORD = re.compile(r"[A-Za-z_]\w*")
_SURROGATE = re.compile("[\ud800-\udfff]")


def explain_broken(line: bytes, error: Exception) -> str:
    """What is wrong with a line.

    Args:
        line: with or without its end.
        error: what the decoder says of it.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        return f"not valid UTF-8 at byte {wrong.start + 1} (0x{line[wrong.start]:02x}); save the file as UTF-8"
    found = None
    if len(line) <= LARGE_LINE:  # the second parser takes time and memory, and large lines are seldom written by hand
        with suppress(ValueError, RecursionError):  # a number of thousands of digits; nested deeply
            found = _look(text)
    return found or f"not valid JSON: {error}; {_EACH}"


def _look(text: str) -> str | None:
    text = text.strip()
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text)
    except json.JSONDecodeError as error:
        return _broken_at(text, error)
    except _ConstantError as error:
        return f"not valid JSON: {error} is no number there; write null, or leave it out"
    rest = text[end:].strip()
    if rest == ",":
        return f"not valid JSON: a comma behind the object; leave it out: {_EACH}"
    if rest.startswith(("{", "[")):
        return f"more than one JSON value; {_EACH}, so put a line end between them"
    if rest:
        return f"not valid JSON: {_quote(rest)} stands behind the object; {_EACH}"
    if (where := _surrogate(value, "")) is not None:
        return (
            f"{where or 'the names'}: half of a character (a lone surrogate such as \\ud83d); "
            "write the whole character, or leave it out"
        )
    return None


class _ConstantError(ValueError):
    """One of the words that Python takes for a number, and JSON does not."""


def _refuse_constant(word: str) -> NoReturn:
    raise _ConstantError(word)


def _broken_at(text: str, error: json.JSONDecodeError) -> str | None:
    """The sentence for what the parser stumbled over."""
    rest = text[error.pos :]
    before = text[: error.pos].rstrip()
    word = _WORD.match(rest)
    if rest.startswith("'") and before.endswith(("{", "[", ",", ":")):
        return "not valid JSON: text in single quotes, as Python prints it; write the row with json.dumps"
    if word and word[0] in _PLAIN_WORDS:
        return f"not valid JSON: {word[0]}, where JSON has {_PLAIN_WORDS[word[0]]}; write the row with json.dumps"
    if (before.endswith(",") and rest[:1] in ("}", "]")) or "trailing comma" in error.msg:
        return "not valid JSON: a comma before the closing bracket; leave it out"
    if error.msg.startswith("Unterminated string") or not rest:
        return f"not valid JSON: the line ends within a value: it was cut off, or goes on in the next line; {_EACH}"
    if error.msg.startswith("Invalid control character"):
        return rf"not valid JSON: a text holds the character {_quote(rest[0])} itself; write it as \n, \t or \u00XX"
    if word and before.endswith(("{", ",")):
        return f"not valid JSON: the name {word[0][:_SHOWN]!r} is not in double quotes; write the row with json.dumps"
    return None


def _surrogate(value: Any, where: str) -> str | None:
    """The first field with half of a character; "": a name of a field has it."""
    if isinstance(value, str):
        return where if _SURROGATE.search(value) else None
    if isinstance(value, dict):
        if any(map(_SURROGATE.search, value)):
            return where
        parts = ((f"{where}.{name}" if where else name, each) for name, each in value.items())
    elif isinstance(value, list):
        parts = ((f"{where}[{number}]", each) for number, each in enumerate(value))
    else:
        return None
    return next((found for name, each in parts if (found := _surrogate(each, name)) is not None), None)


def _quote(text: str) -> str:
    return f"'{printable(text, _SHOWN)}'"
