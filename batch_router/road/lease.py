"""Holding on to a claimed item while its step runs."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Unpack

from ..exceptions import CorruptItemError, StoreUnavailableError
from ..security.logs import get_logger
from ..state.base import Store
from ..state.facts import ShardFacts
from .rounds import Rounds

log = get_logger(__name__)

# Seconds without a word of a step, from where on its lease is no longer renewed: it hangs. The longest steps that say
# nothing read or write a hundred gigabytes; a job that runs in a worker says all the time how far it is.
_LONGEST_SILENCE = 6 * 3600.0


class LeaseLostError(Exception):
    """Another worker has the item now, and nothing reads what this step did."""


class Lease:
    """A claim with an end.

    Attributes:
        fence: opens `renew` and `commit` until the next claim.
        holder: names this very claim.
    """

    def __init__(self, store: Store, item_id: str, fence: int, holder: str, seconds: float, since: float) -> None:
        self._store = store
        self._item_id = item_id
        self._seconds = seconds
        # Counted from before the claim was sent: by the store's clock the lease ends later than we think, never sooner.
        self._until = since + seconds
        self._heard = time.monotonic()
        self._lock = threading.Lock()
        self.fence = fence
        self.holder = holder

    def renew(self, **facts: Unpack[ShardFacts]) -> None:
        """Extend the lease from now on, and remember facts on the way.

        Raises:
            LeaseLostError: another worker has the item.
            StoreUnavailableError: the store does not answer; the lease runs on.
        """
        self._heard = time.monotonic()
        with self._lock:
            self._extend(facts)

    def reserve(self, limits: Mapping[str, int], facts: ShardFacts) -> str | None:
        """The same if the ledger has room for what the shard takes then; else the line of it that has none.

        Args:
            limits: of lines for which the store has none.
            facts: to remember, with `booked`.

        Raises:
            LeaseLostError: another worker has the item.
            StoreUnavailableError: the store does not answer; the lease runs on.
        """
        with self._lock:
            since = self._heard = time.monotonic()
            done = self._store.reserve(
                self._item_id, self.fence, holder=self.holder, lease=self._seconds, limits=limits, facts=facts
            )
            if not done.is_held:
                self._until = since
                raise LeaseLostError(self._item_id)
            if done.short_of is None:
                self._until = since + self._seconds
            return done.short_of

    def keep(self) -> bool:
        """Extend the lease for the step; False if the step has been silent for so long that it hangs.

        Raises:
            LeaseLostError: another worker has the item.
            StoreUnavailableError: the store does not answer; the lease runs on.
        """
        if time.monotonic() - self._heard > _LONGEST_SILENCE:
            log.error("action=step_hangs item=%s: another worker may take it", self._item_id)
            return False
        if self._lock.acquire(blocking=False):  # else it is being renewed: by the step, or by a thread that hangs
            try:
                self._extend({})
            finally:
                self._lock.release()
        return True

    def _extend(self, facts: ShardFacts) -> None:
        since = time.monotonic()
        if not self._store.renew(self._item_id, self.fence, holder=self.holder, lease=self._seconds, facts=facts):
            self._until = since
            raise LeaseLostError(self._item_id)
        self._until = since + self._seconds

    def require(self, seconds: float) -> None:
        """Make sure, by the local clock alone, that the lease holds for some seconds more.

        Raises:
            LeaseLostError: it may not.
        """
        if time.monotonic() + seconds > self._until:
            raise LeaseLostError(self._item_id)


class LeaseKeeper:
    """Renews the leases of this process from its own thread. A forked child needs its own keeper."""

    def __init__(self, store: Store, *, lease: float, every: float) -> None:
        self._store = store
        self._seconds = lease
        self._held: set[Lease] = set()
        self._lock = threading.Lock()
        # One connection that hangs costs the other leases nothing: another thread renews them before they end.
        self._rounds = Rounds("lease-keeper", self._renew_all, every, hangs_after=every / 2)

    @contextmanager
    def hold(self, item_id: str, fence: int, holder: str, since: float) -> Iterator[Lease]:
        """Keep a lease, claimed at `since` (monotonic), until the block ends."""
        lease = Lease(self._store, item_id, fence, holder, self._seconds, since)
        with self._lock:
            self._held.add(lease)
        self.look_after()
        try:
            yield lease
        finally:
            self._release(lease)

    def look_after(self) -> None:
        """Replace the thread if it died or hangs while leases are held."""
        if self._held:
            self._rounds.look_after()

    def _release(self, lease: Lease) -> None:
        with self._lock:
            self._held.discard(lease)

    def close(self) -> None:
        """End the thread; to be called when no lease is held."""
        self._rounds.close()

    def _renew_all(self) -> None:
        with self._lock:
            held = list(self._held)
        for lease in held:
            self._renew(lease)

    def _renew(self, lease: Lease) -> None:
        try:
            if not lease.keep():
                self._release(lease)
        except (LeaseLostError, StoreUnavailableError, CorruptItemError):
            pass  # the step finds out at its commit
        except Exception:  # this thread keeps all leases of the process: no error may end it
            log.exception("action=renew_failed")
