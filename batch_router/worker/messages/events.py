"""What workers tell of themselves and their tasks, for Flower."""

from typing import Annotated

import msgspec
from msgspec import Meta

from .envelope import Id, Node, Refused, open_envelope, parse, seal

_Type = Annotated[str, Meta(pattern=r"\A(task|worker)-[a-z]{1,20}\Z")]
_Text = Annotated[str, Meta(max_length=20_000)]
_Number = Annotated[int, Meta(ge=0, le=2**53)]
# Until the year 5138; Flower makes a date of it.
_Time = Annotated[float, Meta(ge=0, le=1e11)]


class _Event(msgspec.Struct, omit_defaults=True):
    """All fields of Celery's events, with what Celery's and Flower's code takes each of them for."""

    type: _Type
    hostname: Node
    timestamp: _Time
    utcoffset: Annotated[int, Meta(ge=-24, le=24)] = 0
    pid: _Number | None = None
    clock: _Number = 0
    # of a worker
    freq: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    active: _Number | None = None
    processed: _Number | None = None
    loadavg: Annotated[list[float], Meta(max_length=3)] | None = None
    sw_ident: Id | None = None
    sw_ver: Id | None = None
    sw_sys: Id | None = None
    # of a task
    uuid: Id | None = None
    root_id: Id | None = None
    parent_id: Id | None = None
    name: Id | None = None
    args: _Text | None = None
    kwargs: _Text | None = None
    retries: _Number | None = None
    eta: _Text | None = None
    expires: _Text | None = None
    queue: Id | None = None
    exchange: _Text | None = None
    routing_key: _Text | None = None
    runtime: _Time | None = None
    result: _Text | None = None
    exception: _Text | None = None
    traceback: _Text | None = None
    requeue: bool | None = None
    terminated: bool | None = None
    expired: bool | None = None


def read_event(raw: bytes, exchange: str) -> bytes:
    """One event, or several in a list.

    Raises:
        Refused: one of them is none.
    """
    _, body = open_envelope(raw)
    events = parse(body, _Event | list[_Event])
    for event in events if isinstance(events, list) else [events]:
        if event.type.startswith("task-") and event.uuid is None:
            raise Refused("malformed")
    return seal({}, events, exchange=exchange)
