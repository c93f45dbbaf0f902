"""What a store must do. The contract test in `tests/state/` runs over every implementation.

All times in calls are seconds from now, by the store's own clock; each method is atomic. Items of another
version's schema are left alone: a worker neither claims them nor takes them as due, a list leaves them out, and reading
one is an error.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from ..core import BatchStatus
from ..core.jobs import Failure, Job
from .census import Census, Total
from .facts import Facts, ShardFacts
from .items import AnyItem, Batch, Notice, Shard, Spawned
from .ledger import Line, Reservation
from .table import State
from .walks import Walk


class Hint(NamedTuple):
    """An item is due, if it is still at this version.

    Attributes:
        queue: the item's own, if it needs a special one.
        urgent: its user cancels the batch, or its time is over: the sweep sends its message however long the queue is.
        held_back: how often it was held back at this version; see `Store.hold_back`.
    """

    id: str
    version: int
    state: State
    provider: str
    queue: str | None = None
    urgent: bool = False
    held_back: int = 0


class Quarantined(NamedTuple):
    """An item that workers no longer look at, since they cannot read it; `reason` is one line."""

    id: str
    since: float
    reason: str


class Place(NamedTuple):
    """Where a batch stands in the lists: by its creation (seconds since 1970, to the millisecond), then by its id."""

    created_at: float
    id: str


class Which(NamedTuple):
    """Which batches are meant.

    Attributes:
        provider: of this one; None: of any.
        status: in this one, None: in any. The store does not tell `validating` from `queued`; a batch is `parked` with
            one shard that is, and `in_progress` or `cancelling` besides.
        prefix: what their ids begin with.
        since: created at this time or later (seconds since 1970, to the millisecond).
        before: those that follow this place in the list.
    """

    provider: str | None = None
    status: BatchStatus | None = None
    prefix: str = ""
    since: float = 0
    before: Place | None = None


ALL = Which()


#: Of a step that adds to no total.
NO_TALLY: Mapping[Total, float] = MappingProxyType({})


class Commit(NamedTuple):
    """The end of a step.

    Attributes:
        state: the state from here on.
        delay: seconds until the item is due; None: it is not.
        facts: what to remember.
        spawn: shards and notices to make; the store numbers each kind on, and they are due after `grace`.
        grace: how long spawned or woken items wait for their message before the sweep sends another.
        forget: whether the batch's shards and notices are deleted.
        tally: what the step adds to the totals of the store.
    """

    state: State
    delay: float | None
    facts: Facts
    spawn: Sequence[Spawned] = ()
    grace: float = 0
    forget: bool = False
    tally: Mapping[Total, float] = NO_TALLY


class Reopened(NamedTuple):
    """A shard that has ended goes on: as it was read, its `state` from here on, and what to remember."""

    shard: Shard
    state: State
    facts: Facts


class Committed(NamedTuple):
    """What a commit did: the item's version from here on, and the other items that are due now."""

    version: int
    woken: list[Hint]


#: A worker whose sweep runs is announced as a listener on this, too. No queue has that name.
SWEEPING = "sweep"


class Binding(NamedTuple):
    """The storage of a store: one of its marks, and where it was when the store was bound to it, for people."""

    mark: str
    address: str


class Store(Protocol):
    """The truth about every item."""

    def now(self) -> float:
        """The store's clock, in seconds since 1970."""

    def name(self) -> str:
        """What tells this store from all others; it gets a random name when it is first asked."""

    def create(self, batch: Batch, *, delay: float | None) -> bool:
        """Add a batch, due after `delay` (None: never); False if the id is taken. One that has no birth is born now."""

    def claim(self, item_id: str, version: int, *, lease: float, holder: str) -> AnyItem | None:
        """Take an item for `lease` seconds; None if it is no longer at this version.

        The version of the item returned is the fence: until the next claim, it opens `renew` and `commit`, together
        with the holder. A repeated call with the same `holder` gets the same answer (a reply may have been lost).
        Where the server may have forgotten later changes of the item, `doubt_since` says so.
        """

    def renew(self, item_id: str, fence: int, *, holder: str, lease: float, facts: Facts) -> bool:
        """Hold on to a claimed item, and remember facts on the way; False if it was lost."""

    def reserve(
        self, item_id: str, fence: int, *, holder: str, lease: float, limits: Mapping[str, int], facts: ShardFacts
    ) -> Reservation:
        """`renew` a shard if the ledger has room for what it takes then (`booked` among the facts).

        If a line has none, nothing changes: the shard waits in it, and is due when there may be room. The first one
        that waits is the first to get it.

        Args:
            item_id: the shard.
            fence: of its claim.
            holder: of its claim.
            lease: seconds.
            limits: of lines for which the store has none.
            facts: to remember.
        """

    def set_limit(self, line: str, limit: int | None) -> None:
        """Limit a line of the ledger; None: it has no limit. What waits in it looks again."""

    def get_limits(self) -> dict[str, int]:
        """The limits of all lines that have one."""

    def get_lines(self, names: Sequence[str]) -> list[Line]:
        """These lines of the ledger."""

    def let_go(self, item_id: str, *, holder: str) -> None:
        """End a claim without a commit: its worker lives, so it was no crash. The item is due at once."""

    def decide(self, item: AnyItem, commit: Commit, *, holder: str) -> Committed | None:
        """Commit an operator's decision about an item that no worker has; None if one has it, or it changed.

        Args:
            item: as the operator saw it; another one of its id, made since, has changed.
            commit: the decision.
            holder: of this decision alone.
        """

    def reopen(self, batch: Batch, commit: Commit, shards: Sequence[Reopened]) -> list[Hint] | None:
        """Have a batch that has ended go on with these shards; None, and nothing changes, if any of them changed.

        The shards are due after the commit's grace, and what counts as open is counted. With `commit.forget` its shards
        are deleted, no shard owns their jobs, and the batch is in doubt: it is cut again.
        """

    def commit(self, item_id: str, fence: int, commit: Commit, *, holder: str) -> Committed | None:
        """End a step; None, and nothing changes, if the item was lost.

        A shard that reaches a final state leaves its batch's count of open shards, and the last one moves the batch
        to `finishing`. If a cancel came in during the step, the item is due at once.
        """

    def take_due(self, limit: int, *, grace: float) -> list[Hint]:
        """Overdue items, those first that are due for longest, each handed out once per `grace`.

        What is due and has no item that could be read is taken out of the way. A call looks at a bounded number.
        """

    def restore_times(self, *, every: float) -> list[str]:
        """Make open items due that no look would reach, as a server lost their times; at most once in `every` seconds.

        Returns:
            Their ids.
        """

    def hold_back(self, hints: Sequence[Hint]) -> None:
        """Hand these items out at growing pauses from here on, while they stay at their version."""

    def suspect(self, item_id: str, reason: str) -> bool:
        """Note that an item could not be read; True if it was noted often enough, and now is in the quarantine."""

    def quarantined(self, limit: int) -> list[Quarantined]:
        """What is in the quarantine, the newest first."""

    def quarantined_of(self, batch: Batch) -> list[Quarantined]:
        """What is in the quarantine of a batch and its shards."""

    def release(self, item_id: str) -> list[str]:
        """Let an item out of the quarantine, a batch with its shards; returns those that were in it."""

    def cancel(self, batch_id: str, reason: Failure | None = None) -> bool:
        """Mark a batch as to be cancelled and wake what waits in it; False if it has ended.

        Args:
            batch_id: which.
            reason: the batch's `failure`, where not its user ends it. One that is cancelled already keeps its own.
        """

    def delete(self, batch: Batch) -> bool:
        """Forget a batch that has ended, and its shards; False if it has not, or another one has its id, or none."""

    def owned_jobs(self, account: str, jobs: Sequence[str]) -> set[str]:
        """Which of these jobs shards of an account (`Account.name`) own or owned; of deleted batches for 90 days."""

    def wake_owners(self, account: str, jobs: Sequence[str]) -> None:
        """Make the shards due that poll these jobs of an account, and that no worker has."""

    def begin_walk(self, account: str, item_id: str, fence: int) -> float | None:
        """Begin to walk through an account's jobs, under the claim of an item; the time of now.

        None: another item's claim has begun a walk that has not ended, and still holds.
        """

    def end_walk(self, account: str, item_id: str, walk: Walk, found: Mapping[str, Sequence[Job]]) -> None:
        """Keep what the walk of this item found for an hour, unless another one walks by now.

        Args:
            account: whose jobs they are.
            item_id: the item that walked.
            walk: when it began, and how far back it went.
            found: jobs by what they are asked for by.
        """

    def get_walk(self, account: str, keys: Sequence[str]) -> Walk | None:
        """The last walk through an account's jobs that came to its end, with what it found under these keys."""

    def note_labels(self, account: str, labels: Mapping[str, str]) -> None:
        """Remember the labels of jobs, by their ids; "": none of ours. For a month, and 100,000 of an account."""

    def get_labels(self, account: str, jobs: Sequence[str]) -> dict[str, str]:
        """The labels that are remembered of these jobs."""

    def unfetched_jobs_of(self, account: str) -> set[str]:
        """Those of them whose shards have ended without all their answers (`Shard.unfetched`), for 90 days."""

    def unknown(self, batch_ids: Sequence[str]) -> list[str]:
        """Those of the ids that no batch has."""

    def get_batch(self, batch_id: str) -> Batch | None:
        """A batch."""

    def get_shard(self, shard_id: str) -> Shard | None:
        """A shard."""

    def get_shards(self, batch: Batch) -> list[Shard]:
        """The shards of a batch by number."""

    def get_notices(self, batch: Batch) -> list[Notice]:
        """The notices of a batch by number."""

    def iter_batches(self, which: Which = ALL) -> Iterator[Batch]:
        """Batches, the newest first, read in pages; only those that are meant are read."""

    def iter_ended(self, before: float) -> Iterator[Batch]:
        """Batches that ended before a time (seconds since 1970), those first that ended first."""

    def accounts(self) -> set[tuple[str, str | None]]:
        """Provider and credential of the batches of the last 90 days, and of all that are here."""

    def undecided(self, labels: Collection[str]) -> set[str]:
        """Those of these labels whose shards have no job yet, and may find one of an earlier attempt."""

    def has_company(self, item_id: str, account: str, model: str) -> bool:
        """Whether another shard of the account has a job of this model that waits or runs, or may have one."""

    def foreign_items(self, limit: int) -> list[str]:
        """Items that wait for workers of another version of batch_router."""

    def pause(self, account: str, seconds: float) -> None:
        """Keep all workers from calling an account (`Account.name`) for a while; a longer pause that holds stays."""

    def paused(self, account: str) -> float:
        """The seconds that are left of an account's pause; 0: none."""

    def announce(self, worker: str, queues: Sequence[str], *, ttl: float) -> str:
        """Note that a worker listens on these queues for the next `ttl` seconds; returns the epoch of the store."""

    def listeners(self, queue: str) -> list[str]:
        """The workers that listen on a queue."""

    def bind_storage(self, binding: Binding, *, again: bool = False) -> Binding:
        """Remember where payloads lie, unless that is known and not asked for `again`; returns what is remembered."""

    def bound_storage(self) -> Binding | None:
        """Where payloads lie; None: that is not decided."""

    def census(self) -> Census:
        """How many items stand where, and what was added up; its cost does not grow with the number of batches."""

    def close(self) -> None:
        """Close the connections; another call opens them again."""
