"""What a file is that holds no JSON lines: recognised by its beginning before any row is looked at, with the remedy."""

import csv
import json
import re
from contextlib import suppress
from typing import BinaryIO

from ..jsonl import is_blank
from ..security.printable import printable

# Bytes that are looked at.
_BEGINNING = 1 << 16
_LINES = 20
_SHOWN_COLUMNS = 8

_ROW = '{"custom_id": "a", "prompt": "..."}'
_UNPACK = "unpack it first: {command} FILE | batch-router submit - ..."
_EXPORT = f"write its rows as JSON lines, each an object like {_ROW}"
_ASK = "say what to ask about each row, with columns in braces: submit FILE --prompt 'Classify: {column}' ..."
_JSON_LINES = "write each object on a line of its own: jq -c {filter} FILE > rows.jsonl"

# What exports, downloads and archives begin with.
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "compressed with gzip", _UNPACK.format(command="gzip -dc")),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNPACK.format(command="xz -dc")),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK.format(command="zstd -dc")),
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNPACK.format(command="lz4 -dc")),
    (b"BZh", "compressed with bzip2", _UNPACK.format(command="bzip2 -dc")),
    (b"PK\x03\x04", "a zip archive, or an Excel workbook", f"unpack the archive, or of a workbook {_EXPORT}"),
    (b"PK\x05\x06", "an empty zip archive", "give the file with the rows"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"PAR1", "a Parquet file", _EXPORT),
    (b"ARROW1", "an Arrow file", _EXPORT),
    (b"Obj\x01", "an Avro file", _EXPORT),
    (b"SQLite format 3\x00", "an SQLite database", _EXPORT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook or another Office file", _EXPORT),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXPORT),
    (b"\x93NUMPY", "a NumPy array", _EXPORT),
    (b"%PDF-", "a PDF", "it goes into a row, as a part of the type `document`; give the file with the rows"),
    *((bytes((0x80, protocol)), "a Python pickle", _EXPORT) for protocol in range(2, 6)),
)
_UTF8_MARK = b"\xef\xbb\xbf"
# The longer ones first: UTF-32 begins as UTF-16 does.
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_ARRAY = f"is one JSON array; {_JSON_LINES.format(filter=repr('.[]'))}"
_PRETTY = f"holds JSON objects over several lines; {_JSON_LINES.format(filter='.')}"
# The first line of such an object: `{`, or a key and what goes on behind it.
_OPEN_LINE = re.compile(r'\{\s*(?:".*[,{\[]\s*)?')
# A line of a log may begin with a bracket, too.
_OPEN_ARRAY = re.compile(r'\[\s*(?:[\[{"\]\d-]|true|false|null|$)')
_COLUMN = re.compile(r"[\w .#()/-]{1,100}")


def recognise(stream: BinaryIO) -> str | None:
    """What a file is, and what to do with it; None: it may hold rows as JSON lines.

    Args:
        stream: is at its start, and is left there; no more than its beginning is held.
    """
    beginning = stream.read(_BEGINNING)
    text = beginning.removeprefix(_UTF8_MARK).decode("utf-8", "replace")
    is_empty = beginning in dict(_MARKS) or (not text.strip() and is_blank(stream))
    stream.seek(0)
    if is_empty:
        return "is empty: there is nothing to send"
    return recognise_binary(beginning) or recognise_text(text.lstrip(), is_whole=len(beginning) < _BEGINNING)


def recognise_binary(beginning: bytes) -> str | None:
    """What a file is by its first bytes, and what to do with it; None: it may hold text."""
    for signature, what, remedy in _SIGNATURES:
        if beginning.startswith(signature):
            return f"is {what}; {remedy}"
    if encoding := wide_encoding(beginning):
        return f"is {encoding} text; save it as UTF-8: iconv -f {encoding} -t UTF-8 FILE > rows.jsonl"
    is_binary = b"\x00" in beginning and not beginning.lstrip().startswith(b"{")
    return f"is a binary file; {_EXPORT}" if is_binary else None


def wide_encoding(beginning: bytes) -> str | None:
    """UTF-16 or UTF-32: by their marks, or by what the first bytes are in them."""
    for mark, encoding in _MARKS:
        if beginning.startswith(mark):
            return encoding
    if b"\x00" in beginning[:4]:
        for encoding in ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE"):
            with suppress(UnicodeDecodeError):
                if beginning[:4].decode(encoding).strip("\r\n\t").isascii():
                    return encoding
    return None


def recognise_text(text: str, *, is_whole: bool) -> str | None:
    """The same of text, with nothing blank in front; `is_whole`: whether this is all of the file."""
    lines = [line for line in text.split("\n", _LINES)[:_LINES] if line.strip()]
    if not lines or not (is_whole or "\n" in text):  # then the first line is not whole
        return _ARRAY if text.startswith("[") else None
    if text[0] in "[{":
        return _json(text, lines)
    if any(line.lstrip().startswith("{") for line in lines) or _is_json(lines[0]):
        return None  # the check of the rows says which lines are wrong
    if text[0] == "<":
        return f"is an HTML or XML page; {_EXPORT}"
    if columns := _columns(lines):
        return f"looks like a table with the columns {_shown(columns)}; {_ASK}"
    return f"is text, and no JSON; {_EXPORT}"


def _json(text: str, lines: list[str]) -> str | None:
    """Arrays, and objects over several lines."""
    if _is_json(lines[0]):
        return _ARRAY if text[0] == "[" and len(lines) == 1 else None
    if text[0] == "[":
        return _ARRAY if _OPEN_ARRAY.match(text) else None
    return _PRETTY if _is_pretty(text, lines) else None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_pretty(text: str, lines: list[str]) -> bool:
    """Whether an object that begins on the first line ends on another one."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # it is cut off, or wrong
        return len(lines) > 1 and _OPEN_LINE.fullmatch(lines[0]) is not None and not lines[1].startswith("{")
    return "\n" in text[:end]


def _columns(lines: list[str]) -> list[str]:
    """The names of a table's columns: the first line holds as many as the next one."""
    for delimiter in "\t,;|":
        with suppress(csv.Error):
            names, *rows = csv.reader(lines, delimiter=delimiter)
            if (
                len(names) > 1
                and all(map(_COLUMN.fullmatch, names))
                and all(len(row) == len(names) for row in rows[:1])
            ):
                return names
    return []


def _shown(columns: list[str]) -> str:
    more = len(columns) - _SHOWN_COLUMNS
    shown = ", ".join(printable(name.strip()) for name in columns[:_SHOWN_COLUMNS])
    return f"{shown} and {more} more" if more > 0 else shown
