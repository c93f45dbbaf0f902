"""The life of a batch and of a shard, in one table.

Rules:

* A state is named after what comes next: an item in `creating` waits for the step `create`.
* A step ends in one of its successors, or stays (a poll that found nothing new, a call worth another try).
* Whatever goes wrong with a shard, its rows keep their way to `normalizing`: every shard ends with a part that
  accounts for each of its rows, so that the books balance. The failure itself is the shard's `failure`.
* What lies at the provider is deleted only after that, in `cleaning`, which nothing can fail.
* A batch leaves `running` only by the commit that ends its last shard. Meanwhile it is looked at only for its time-out.
* `parked` waits for the operator. Final states wait for nobody.

`docs/architecture.md` has the picture; a test holds it against this table.
"""

from enum import StrEnum
from typing import NamedTuple

from ..exceptions import StateError


class State(StrEnum):
    """Where an item stands. The values are what Redis holds."""

    # a batch
    QUEUED = "queued"
    RUNNING = "running"
    FINISHING = "finishing"
    # a shard
    UPLOADING = "uploading"
    CREATING = "creating"
    POLLING = "polling"
    DOWNLOADING = "downloading"
    NORMALIZING = "normalizing"
    CLEANING = "cleaning"
    PARKED = "parked"
    # both
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


S = State
_ENDS = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.EXPIRED})


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        step: the function of `batch_router.pipeline` that carries the item on; None where nothing does.
        queue: the Celery queue of that step, unless the provider has one of its own.
        successors: the states that the step may end in, besides staying.
    """

    step: str | None
    queue: str | None
    successors: frozenset[State]


TABLE: dict[State, Row] = {
    # state          step         queue   successors
    S.QUEUED:      Row("convert",   "cpu",  frozenset({S.RUNNING, S.FINISHING})),
    S.RUNNING:     Row("expire",    "cpu",  frozenset({S.FINISHING})),
    S.FINISHING:   Row("finish",    "cpu",  _ENDS),
    S.UPLOADING:   Row("upload",    "io",   frozenset({S.CREATING, S.NORMALIZING})),
    S.CREATING:    Row("create",    "io",   frozenset({S.POLLING, S.UPLOADING, S.NORMALIZING, S.PARKED})),
    S.POLLING:     Row("poll",      "poll", frozenset({S.DOWNLOADING, S.CREATING, S.NORMALIZING})),
    S.DOWNLOADING: Row("download",  "io",   frozenset({S.NORMALIZING})),
    S.NORMALIZING: Row("normalize", "cpu",  frozenset({S.CLEANING, S.DOWNLOADING, S.FAILED})),
    S.CLEANING:    Row("clean",     "io",   _ENDS),
    S.PARKED:      Row(None,        None,   frozenset({S.POLLING, S.UPLOADING, S.NORMALIZING})),
    S.COMPLETED:   Row(None,        None,   frozenset()),
    S.FAILED:      Row(None,        None,   frozenset()),
    S.CANCELLED:   Row(None,        None,   frozenset()),
    S.EXPIRED:     Row(None,        None,   frozenset()),
}  # fmt: skip

#: The steps of a shard in the order of the road: what a Celery chain of one is made of.
ROAD: tuple[State, ...] = (S.UPLOADING, S.CREATING, S.POLLING, S.DOWNLOADING, S.NORMALIZING, S.CLEANING)


def is_final(state: State) -> bool:
    """Whether nothing will happen to an item in this state any more."""
    return not TABLE[state].successors


def check_transition(old: State, new: State) -> None:
    """Refuse a transition that the table does not have.

    Raises:
        StateError: `new` does not follow `old`.
    """
    if new is not old and new not in TABLE[old].successors:
        raise StateError(f"{old.value} cannot become {new.value}")


def remaining_road(state: State) -> tuple[State, ...]:
    """The states from `state` to the end of its road, `state` first: one step each."""
    return ROAD[ROAD.index(state) :] if state in ROAD else (state,)
