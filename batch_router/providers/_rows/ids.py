"""Whose answer a line is."""

from collections.abc import Callable
from re import Match

import msgspec

from ...jsonl import decode_leniently


class RowIds:
    """Reads the row id of each answer.

    Args:
        field: of the row, which holds the id.
        find: finds the id where the service usually writes it, as group 1, so that most rows are not parsed for it.
    """

    def __init__(self, field: str, find: Callable[[bytes], Match[bytes] | None]) -> None:
        self._field = field
        self._find = find
        self._decode = msgspec.json.Decoder(msgspec.defstruct("RowId", [(field, str)])).decode

    def read(self, line: bytes) -> str | None:
        """See `Codec.read_row_id`."""
        if found := self._find(line):
            return found[1].decode(errors="replace")
        try:
            row_id: str = getattr(self._decode(line), self._field)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._read_leniently(line)
        return row_id

    def _read_leniently(self, line: bytes) -> str | None:
        try:
            row, _ = decode_leniently(line)
        except ValueError:
            return None
        row_id = row.get(self._field) if isinstance(row, dict) else None
        return row_id if isinstance(row_id, str) else None
