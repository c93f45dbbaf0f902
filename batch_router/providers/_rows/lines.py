"""A line of any answer to its result: as it is, or as it reads after a repair."""

from collections.abc import Callable

import msgspec

from ...core import UnifiedResult
from ...jsonl import TOO_DEEP, is_clean, repair

#: Reads a line that is JSON.
Read = Callable[[bytes, str], UnifiedResult]


def decode_line(line: bytes, custom_id: str, read: Read) -> tuple[UnifiedResult, bool]:
    """See `Codec.decode`; `read` sees valid JSON, or raises msgspec's error and sees the repaired line.

    Raises:
        ValueError: the line is not JSON, or nested too deeply.
    """
    try:
        if is_clean(line):
            return read(line, custom_id), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    line = repair(line)
    try:
        return read(line, custom_id), True
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
