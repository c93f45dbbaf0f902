"""The batch that another app submits: the arguments of `submit_batch.delay`, and its tasks for the end, as text."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from .envelope import Id, Refused, parse

# Of a task of the other app: none of ours, which would let a message start a step.
_Name = Annotated[str, Meta(pattern=r"\A(?!batch_router\.)[^\x00-\x1f]{1,200}\Z")]


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Those of a signature that have a meaning at the end of a batch, and what Celery adds in a chain."""

    queue: Id | None = None
    task_id: Id | None = None
    link: "list[_Signature] | None" = None
    link_error: "list[_Signature] | None" = None
    reply_to: Id | None = None


class _Signature(msgspec.Struct, frozen=True):
    """A task of the other app, as Celery writes one."""

    task: _Name
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: _Options = _Options()
    subtask_type: None = None
    immutable: bool = False


_Signatures = Annotated[list[_Signature], Meta(max_length=16)]


class Follows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent at the end of a batch: `link`, `link_error` and the rest of a chain, as Celery calls them here."""

    callbacks: _Signatures | None = None
    errbacks: _Signatures | None = None
    chain: _Signatures | None = None
    chord: None = None


class _Given(msgspec.Struct, array_like=True):
    args: Annotated[list[str], Meta(max_length=1)]
    # Rows are read one by one, so that in memory there are the values of one, and not of all.
    kwargs: dict[str, Raw]
    follows: Follows = Follows()


def read_submission(text: str) -> tuple[dict[str, Any], Follows]:
    """The options of a submission, `provider` among them, and what is sent at its end.

    Raises:
        Refused: it is none, or names a file: a worker reads no file for the sender of a message.
    """
    given: _Given = parse(text.encode(), _Given)
    args, kwargs = given.args, given.kwargs
    if "input" in kwargs or "check_rows" in kwargs:
        raise Refused("names_a_file")
    rows = kwargs.pop("requests", None)
    options = {name: parse(value, Any) for name, value in kwargs.items()}
    if args:
        options = {"provider": args[0], **options}
    return options if rows is None else {**options, "requests": _rows(parse(rows, list[Raw]))}, given.follows


def _rows(rows: list[Raw]) -> Iterator[object]:
    return (msgspec.json.decode(row) for row in rows)
