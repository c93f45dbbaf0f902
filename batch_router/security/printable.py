"""Text from outside, made safe to show: providers, models, rows and messages could steer a terminal or forge log lines.

Everything that puts such text on a terminal, into a log or into an error goes through here.
"""

import re

# Control characters of C0 and C1 (ESC among them), line separators, what reverses the order of text, and lone
# surrogates, which no UTF-8 terminal or file takes.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_CUT = "..."


def printable(text: str, longest: int | None = None) -> str:
    r"""The text in one line, with `\x1b` in place of an escape character, and so on.

    Args:
        text: from anywhere.
        longest: the most characters of the result; the rest is cut off.
    """
    return _safe(_UNSAFE, text, longest)


def printable_lines(text: str, longest: int | None = None) -> str:
    """The same for text of several lines, such as the end of a log: its line ends stay."""
    return _safe(_UNSAFE_IN_LINES, text, longest)


def printable_json(line: str) -> str:
    r"""A line of JSON with `\u009b` in place of such a character: still the same value."""
    # JSON may have tabs and carriage returns between its parts.
    return _UNSAFE.sub(lambda found: " " if found[0] in "\t\r" else f"\\u{ord(found[0]):04x}", line)


def _safe(unsafe: re.Pattern[str], text: str, longest: int | None) -> str:
    start = text if longest is None else text[: longest + 1]  # escapes only make it longer
    shown = unsafe.sub(_escape, start)
    if longest is None or len(shown) <= longest:
        return shown
    return shown[: max(0, longest - len(_CUT))] + _CUT


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
