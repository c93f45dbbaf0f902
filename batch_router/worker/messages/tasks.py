"""Messages in our queues: `[item id, version]` for a step, or a batch that another app submits by name."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from ...road.advance import LONGEST_COUNTDOWN
from ...state.table import State
from ..queues import is_queue
from .envelope import Id, Nothing, Refused, check_size, open_envelope, parse, seal
from .submission import Follows

SUBMIT = "batch_router.submit_batch"
STEPS = frozenset(f"batch_router.{state.step}" for state in State)

# A step's message has two kilobytes.
_MOST_OF_A_STEP = 16 << 10
# No message of ours waits longer; the clocks of two machines may be ten minutes apart.
_LATEST = timedelta(seconds=LONGEST_COUNTDOWN, minutes=10)

_ItemId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}(\.n?[0-9]{1,9})?\Z")]
_Version = Annotated[int, Meta(ge=0, le=2**53)]
_Time = Annotated[datetime, Meta(tz=True)] | None


class _Headers(msgspec.Struct):
    """Those that mean something here; Celery would follow others, too."""

    task: str
    id: Id
    root_id: Id | None = None
    parent_id: Id | None = None
    retries: Annotated[int, Meta(ge=0, le=10**9)] = 0
    eta: _Time = None
    expires: _Time = None
    compression: None = None


class _Options(msgspec.Struct):
    queue: str
    task_id: Id


class _Link(msgspec.Struct, forbid_unknown_fields=True):
    """A later step of a chain, as Celery writes one."""

    task: str
    options: _Options
    args: tuple[()] = ()
    kwargs: Nothing = Nothing()
    subtask_type: None = None
    immutable: bool = False


class _OnTheRoad(msgspec.Struct, forbid_unknown_fields=True):
    """At most the later steps to call, the last one first."""

    callbacks: None = None
    errbacks: None = None
    chord: None = None
    chain: Annotated[list[_Link], Meta(max_length=len(STEPS))] | None = None


_Step = tuple[tuple[tuple[_ItemId, _Version]], Nothing, _OnTheRoad]


class _Brought(msgspec.Struct, forbid_unknown_fields=True):
    """A submission that was read before: a worker that ended gave it back to its queue."""

    submission: str


def read_task(raw: bytes, queue: str) -> bytes:
    """The message of a task of ours, from a queue.

    Raises:
        Refused: it is none.
    """
    opened, body = open_envelope(raw, quoted=True)
    headers: _Headers = parse(opened, _Headers)
    if headers.task == SUBMIT:
        return _sealed(headers, queue, "...", _submission(body, len(raw)))
    if headers.task not in STEPS:
        raise Refused("not_our_task")
    step = _step(body)
    ((item_id, version),) = step[0]
    return _sealed(headers, queue, f"{item_id} v{version}", step)


def _step(body: bytes) -> _Step:
    if len(body) > _MOST_OF_A_STEP:
        raise Refused("too_large")
    step: _Step = parse(body, _Step)
    for link in step[2].chain or ():
        if link.task not in STEPS or not is_queue(link.options.queue):
            raise Refused("not_our_chain")
    return step


def _submission(body: bytes, size: int) -> object:
    """All of it travels on as a text, which Celery neither reads nor shows; `submit_from_message` reads it.

    In a text each quote takes two bytes: so what comes back may be twice as large as what was taken.
    """
    parts = parse(body, tuple[Raw, Raw, Raw])
    parse(parts[2], Follows)
    try:
        text = parse(parts[1], _Brought).submission
    except Refused:
        check_size(size)
        text = f"[{','.join(bytes(part).decode() for part in parts)}]"
    return [], {"submission": text}, Follows()


def _sealed(headers: _Headers, queue: str, shown: str, body: object) -> bytes:
    now = datetime.now(UTC)
    if headers.expires is not None and headers.expires < now:
        raise Refused("expired")
    if headers.eta is not None and headers.eta > now + _LATEST:
        raise Refused("too_early")
    made: dict[str, Any] = {
        "lang": "py",
        "task": headers.task,
        "id": headers.id,
        "root_id": headers.root_id or headers.id,
        "parent_id": headers.parent_id,
        "retries": headers.retries,
        "eta": headers.eta and headers.eta.isoformat(),
        "argsrepr": shown,
        "kwargsrepr": "{}",
        "ignore_result": True,
    }
    return seal(made, body, queue=queue, task_id=headers.id)
