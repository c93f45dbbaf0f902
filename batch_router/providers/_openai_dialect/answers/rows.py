"""The lines of the output and error files of OpenAI and vLLM."""

import re
from typing import Any

import msgspec

from ....core import UnifiedResult
from ..._rows.ids import RowIds
from ..._rows.lines import decode_line
from ..._rows.shapes import NULL, Shape, says_something
from .bodies import decode_body, is_answer
from .errors import read_error

# How the service begins each line. An id without escapes is read without parsing the row.
_BEGINNING = re.compile(rb'\{"id": ?"[^"\\]*", ?"custom_id": ?"([^"\\]*)"')

read_row_id = RowIds("custom_id", _BEGINNING.match).read


class _Response(msgspec.Struct, gc=False):
    status_code: int | None = None
    request_id: str | None = None
    body: msgspec.Raw = NULL


class _Row(msgspec.Struct, gc=False):
    response: _Response | None = None
    error: Any = None


class _Bare(msgspec.Struct, gc=False):
    response: msgspec.Raw = NULL


class _Refused(msgspec.Struct, gc=False):
    error: Any = None


_EMPTY = (NULL, msgspec.Raw(b"{}"))
# Other numbers are no status at all.
_STATUSES = range(100, 600)
_rows, _bare, _refused = Shape(_Row), Shape(_Bare), Shape(_Refused)


def decode(line: bytes, custom_id: str) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`."""
    return decode_line(line, custom_id, _read)


def _read(line: bytes, custom_id: str) -> UnifiedResult:
    """Any row: an answer, a refusal, or a row that never ran, which has an `error` and no response."""
    row = _rows.read(line)
    response = row.response
    result = None
    if response is not None and (row.error is None or not says_something(row.error)):
        if _is_answered(response):
            result = decode_body(custom_id, response.body, response.request_id)
        elif response.status_code is None and is_answer(body := _bare.read(line).response):
            result = decode_body(custom_id, body, None)
    return result or _decode_refusal(custom_id, row)


def _is_answered(response: _Response) -> bool:
    """A row without a status is answered if it has a body."""
    status_code = response.status_code if response.status_code in _STATUSES else None
    return status_code == 200 or (200 < status_code < 300 if status_code else response.body not in _EMPTY)


def _decode_refusal(custom_id: str, row: _Row) -> UnifiedResult:
    """OpenAI has the error in the body, and `error` is null; vLLM has it in `error`, an object or a text."""
    if row.response is None:
        error, status = read_error(row.error, None, raw=row.error)
        return UnifiedResult(custom_id=custom_id, status=status, error=error)
    response = row.response
    body = msgspec.json.decode(response.body)
    said = filter(says_something, (_refused.read(response.body).error, row.error, body))
    reason = next(said, None)
    raw = {"status_code": response.status_code, "error": reason}
    error, status = read_error(reason, response.status_code, raw)
    return UnifiedResult(custom_id=custom_id, status=status, request_id=response.request_id, error=error, response=body)
