"""The batch that another app submits: the arguments of `submit_batch.delay`, as text."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from .envelope import Refused, parse

# Rows are read one by one, so that in memory there are the values of one, and not of all.
_Given = tuple[Annotated[list[str], Meta(max_length=1)], dict[str, Raw]]


def read_submission(text: str) -> dict[str, Any]:
    """The options of a submission, `provider` among them.

    Raises:
        Refused: it is none, or names a file: a worker reads no file for the sender of a message.
    """
    args, kwargs = parse(text.encode(), _Given)
    if "input" in kwargs or "check_rows" in kwargs:
        raise Refused("names_a_file")
    rows = kwargs.pop("requests", None)
    options = {name: parse(value, Any) for name, value in kwargs.items()}
    if args:
        options = {"provider": args[0], **options}
    return options if rows is None else {**options, "requests": _rows(parse(rows, list[Raw]))}


def _rows(rows: list[Raw]) -> Iterator[object]:
    return (msgspec.json.decode(row) for row in rows)
