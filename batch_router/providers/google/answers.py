"""The answers in a Gemini batch's file of responses."""

import re
from re import Match
from typing import Any

import msgspec

from ...core import UnifiedResult
from .._rows.ids import RowIds
from .._rows.lines import decode_line
from .._rows.shapes import NULL, Shape, is_object
from .errors import decode_error, is_error
from .response import decode_response

# The service writes the keys of an answer in any order. First or last, ours is found without parsing the row: between
# its braces an unescaped `"key":` can only be a key, and one followed by the row's last brace is the row's own.
_BEGINNING = re.compile(rb'\{"key": ?"([^"\\]*)"')
_END = re.compile(rb'"key": ?"([^"\\]*)"\}\s*$')
_LONGEST_END = 200


def _find_key(line: bytes) -> Match[bytes] | None:
    return _BEGINNING.match(line) or _END.search(line, max(0, len(line) - _LONGEST_END))


read_row_id = RowIds("key", _find_key).read


class _Row(msgspec.Struct, gc=False):
    response: msgspec.Raw = NULL
    error: Any = None
    status: Any = None


_rows = Shape(_Row)


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`."""
    return decode_line(line, custom_id, _read)


def _read(line: bytes, custom_id: str) -> UnifiedResult:
    """Any answer: one with a response, or one with an `error` (which the documentation calls `status`)."""
    row = _rows.read(line)
    error = None
    if not (row.error is None and row.status is None):
        error = next(filter(is_error, (row.error, row.status)), None)
    if error is None and is_object(row.response):
        return decode_response(custom_id, row.response)
    return decode_error(custom_id, error, msgspec.json.decode(row.response))
