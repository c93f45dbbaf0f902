"""The life of a batch, of a shard and of a notice, in one table.

Rules:

* A state is named after what comes next: an item in `creating` waits for the step `create`.
* The rows are in the order of the road. A step that did its work moves the item to the next row; `elsewhere` names the
  other states that it may choose. It may also stay (a poll that found nothing new, a call that is tried again).
* Whatever goes wrong with a shard, its rows keep their way to `normalizing`: every shard ends with a part that
  accounts for each of its rows, so that the books balance. The failure itself is the shard's `failure`.
* Answers that are not there, or look cut short, send a shard back to `polling`: their names may have changed.
* The step `clean` deletes what lies at the provider only after that, and nothing makes it fail.
* A batch leaves `running` only by the commit that ends its last shard. Meanwhile a worker looks at it for its time-out.
* `parked` waits for the operator. Its step ends the waiting when the batch is cancelled, when its time is over, or when
  the operator gives the shard up.
* A final state stays. The step of a batch lets go of its shards and payloads in the end. Only the operator's command
  `resume` takes an item out of it (`REOPENED`): a step that went wrong is repeated, and nothing is created twice.

`docs/architecture.md` has the picture; a test holds it against this table.
"""

from enum import StrEnum
from functools import cache
from typing import Literal, Self

from ..exceptions import StateError

Queue = Literal["cpu", "io", "poll"]

_ENDS = "completed failed cancelled expired"


class State(StrEnum):
    """Where an item stands. The values are what Redis holds.

    Attributes:
        step: the file of `batch_router.road.steps` that carries the item on.
        queue: the Celery queue of that step, unless the provider has one of its own.
    """

    step: str
    queue: Queue
    _elsewhere: str
    _given_up: str
    _leads_on: bool

    def __new__(
        cls,
        word: str,
        step: str = "",
        queue: Queue = "cpu",
        elsewhere: str = "",
        given_up: str = "",
        leads_on: bool = True,
    ) -> Self:
        """A row of the table.

        Args:
            word: the state.
            step: see above.
            queue: see above.
            elsewhere: states that the step may choose instead of the next row.
            given_up: where an item goes whose step failed for good.
            leads_on: whether the step that did its work moves the item to the next row.
        """
        state = str.__new__(cls, word)
        state._value_ = word
        state.step, state.queue, state._elsewhere, state._given_up = step, queue, elsewhere, given_up
        state._leads_on = leads_on
        return state

    # fmt: off
    # a batch       word           step         queue   elsewhere                             given up       leads on
    QUEUED =       ("queued",      "convert",   "cpu",  "finishing",                          "finishing")
    RUNNING =      ("running",     "expire",    "cpu",  "",                                   "running")
    FINISHING =    ("finishing",   "finish",    "cpu",  _ENDS,                                "failed",      False)
    # a shard
    UPLOADING =    ("uploading",   "upload",    "io",   "normalizing",                        "normalizing")
    CREATING =     ("creating",    "create",    "io",   "uploading normalizing parked",       "normalizing")
    POLLING =      ("polling",     "poll",      "poll", "creating normalizing parked",        "normalizing")
    DOWNLOADING =  ("downloading", "download",  "io",   "polling parked",                     "normalizing")
    NORMALIZING =  ("normalizing", "normalize", "cpu",  "polling parked failed",              "failed")
    CLEANING =     ("cleaning",    "clean",     "io",   _ENDS,                                "completed",   False)
    PARKED =       ("parked",      "park",      "io",   "polling uploading normalizing failed", "normalizing", False)
    # a notice
    NOTIFYING =    ("notifying",   "notify",    "io",   "completed failed",                   "failed",      False)
    # all
    COMPLETED =    ("completed",   "retire",    "cpu",  "",                                   "completed",   False)
    FAILED =       ("failed",      "retire",    "cpu",  "",                                   "failed",      False)
    CANCELLED =    ("cancelled",   "retire",    "cpu",  "",                                   "cancelled",   False)
    EXPIRED =      ("expired",     "retire",    "cpu",  "",                                   "expired",     False)
    # fmt: on

    @property
    def onward(self) -> "State":
        """The state after this one's step did its work: the next row.

        Raises:
            StateError: this is the end of a road, or beside it.
        """
        if not self._leads_on:
            raise StateError(f"{self.value} is followed by no other row")
        rows = list(State)
        return rows[rows.index(self) + 1]

    @property
    def given_up(self) -> "State":
        """Where an item goes when its step has failed for good: the rows of a shard still get their results.

        A running batch stays what it is, and is looked at later: its shards end it.
        """
        return State(self._given_up)

    @property
    def successors(self) -> frozenset["State"]:
        """The states that the step may end in, besides staying."""
        return _successors(self)

    @property
    def is_final(self) -> bool:
        """Whether the item has ended."""
        return self.value in _ENDS.split()


@cache
def _successors(state: State) -> frozenset[State]:
    elsewhere = {State(word) for word in state._elsewhere.split()}
    return frozenset(elsewhere | ({state.onward} if state._leads_on else set()))


#: Where a shard begins.
FIRST_OF_SHARD = State.UPLOADING
_LAST_OF_SHARD = State.CLEANING


#: Where `resume` takes a batch, or a shard of it, that has ended.
REOPENED = frozenset(
    {State.QUEUED, State.RUNNING, State.FINISHING} | {State.UPLOADING, State.CREATING, State.POLLING, State.NORMALIZING}
)


def check_reopening(old: State, new: State) -> None:
    """Refuse to take up an item in another way than the table has.

    Raises:
        StateError: `old` is not final, or `new` is none of those that follow.
    """
    if not old.is_final or new not in REOPENED:
        raise StateError(f"{old.value} cannot be taken up as {new.value}")


def check_transition(old: State, new: State) -> None:
    """Refuse a transition that the table does not have.

    Raises:
        StateError: `new` does not follow `old`.
    """
    if new is not old and new not in old.successors:
        raise StateError(f"{old.value} cannot become {new.value}")


def remaining_road(state: State) -> tuple[State, ...]:
    """The states from `state` to the end of a shard's road, `state` first; a batch's steps do not follow each other."""
    rows = list(State)
    road = tuple(rows[rows.index(FIRST_OF_SHARD) : rows.index(_LAST_OF_SHARD) + 1])
    return road[road.index(state) :] if state in road else (state,)
