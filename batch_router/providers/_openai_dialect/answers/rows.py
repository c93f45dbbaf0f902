"""The lines of an output file in the format of OpenAI and vLLM."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from ....core import UnifiedResult
from ....jsonl import decode_leniently, is_clean
from .chat import decode_completion


class _RowId(msgspec.Struct):
    custom_id: str


_decode_row_id = msgspec.json.Decoder(_RowId).decode

# How the service begins each line. An id without escapes is read without parsing the row.
_BEGINNING = re.compile(rb'\{"id": ?"[^"\\]*", ?"custom_id": ?"([^"\\]*)"')


class _Response(msgspec.Struct):
    status_code: int
    request_id: str | None
    body: msgspec.Raw


class _Answer(msgspec.Struct):
    response: _Response
    error: None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_row_id(line: bytes) -> str | None:
    """See `Codec.read_row_id`."""
    if beginning := _BEGINNING.match(line):
        return beginning[1].decode(errors="replace")
    try:
        return _decode_row_id(line).custom_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        row, _ = decode_leniently(line)
    except ValueError:
        return None
    row_id = row.get("custom_id") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, str) else None


def decode_row(
    line: bytes, custom_id: str, read: Callable[[dict[str, Any], str], UnifiedResult]
) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`. The usual completion is read by its known fields; `read` takes any other row apart."""
    try:
        if is_clean(line):
            answer = _decode_answer(line)
            if answer.response.status_code == 200:
                return decode_completion(custom_id, answer.response.body, answer.response.request_id), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    row, repaired = decode_leniently(line)
    return read(row if isinstance(row, dict) else {}, custom_id), repaired
