"""Rows that were given in the call, as the lines of a file: from there on both go the same way."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..core.record import JsonObject, schema_of, to_plain
from ..core.requests import written_request
from ..exceptions import ValidationError
from ..jsonl import TOO_DEEP


class NamedRows(Iterable[JsonObject]):
    """Rows that were made of a table's.

    Args:
        read: the rows, in the table's order, each time it is called.
        name: what problems call the table.
    """

    def __init__(self, read: Callable[[], Iterator[JsonObject]], name: Path) -> None:
        self._read = read
        self.name = name

    def __iter__(self) -> Iterator[JsonObject]:
        return self._read()


def line_of(request: object) -> bytes:
    """A request as JSON, on one line, without its end.

    It is written as it was given, with numbers of any size and whatever only the provider knows. JSON that was written
    before (`msgspec.Raw`) stays what it is, on one line.

    Raises:
        ValidationError: JSON cannot hold it; says why.
    """
    if isinstance(request, msgspec.Raw):
        return bytes(request).replace(b"\n", b" ")  # in JSON a line end is white space
    try:
        request = written_request(request) if isinstance(request, dict) else request
        if isinstance(request, dict) and all(type(each) is str for each in request.values()):
            return _encode(request)  # the rows of a table, and most others: the same bytes in a tenth of the time
        return _write(request).encode()
    except RecursionError:
        raise ValidationError(TOO_DEEP) from None
    except UnicodeEncodeError:  # half of a character: as an escape it reaches the check, which says where it stands
        return _write_ascii(request).encode()
    except (TypeError, ValueError) as error:  # what JSON does not have: NaN, a set
        raise ValidationError(f"cannot be written as JSON: {error}") from None


def _plain(value: Any) -> Any:
    """A value that JSON has, in place of a record, a pydantic model, or a class that stands for its schema."""
    if (schema := schema_of(value)) is not value:
        return schema
    if isinstance(value, msgspec.Struct):
        return to_plain(value)
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", by_alias=True, exclude_none=True)
    raise TypeError(f"a value of the type {type(value).__name__}")


_encode = msgspec.json.Encoder().encode
# Made once: `json.dumps` makes an encoder for each call, which takes as long as a short row.
_write, _write_ascii = (
    json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), default=_plain).encode
    for ascii_only in (False, True)
)
