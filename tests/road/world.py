"""A fleet in a world that a test moves: workers that stop anywhere, a broker that loses and repeats, a clock.

The steps, the state table, the retry decisions and the store are the real ones. The provider's service is a model: each
has a test file of its own, whose machine adds what that service does, and what must hold of it.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batch_router.client import BatchClient
from batch_router.core import ManifestCounts, ResultStatus, UnifiedResult
from batch_router.exceptions import FileOperationError, StoreUnavailableError
from batch_router.operations.submit import submit
from batch_router.providers import Provider
from batch_router.road import accepted, cutting, failure, journal, lease, sending
from batch_router.road import advance as kernel
from batch_router.road.advance import LONGEST_COUNTDOWN, advance
from batch_router.road.context import Clients, Context
from batch_router.settings import Settings
from batch_router.state.base import Hint
from batch_router.state.items import Batch, Shard
from batch_router.state.memory import MemoryStore
from batch_router.state.table import State
from tests.road.chances import numbers, plans, sizes, trouble_lists
from tests.road.fleet import Fleet, Plan
from tests.road.seams import AtOnce, Keeper, SeamStorage, SeamStore, Watch
from tests.road.wire import NAME, Trouble, Wire

BATCHES = 2


class Message(msgspec.Struct, frozen=True):
    """What the broker holds; it is not delivered before its time."""

    item_id: str
    version: int
    at: float


class World(RuleBasedStateMachine):
    """A fleet, a broker and a clock; a subclass brings the service.

    Attributes:
        submitted: the ids of all batches, each with those of its rows.
        acknowledged: the batches whose submission returned.
        wakes_in: how many messages into the calm those who are paused go on.
    """

    #: Once nothing goes wrong any more, everything ends within this time.
    patience = 24 * 3600.0
    #: The longest that the calm lets pass without a look, and what its fleet renews leases by.
    quiet = 60.0
    service: Wire
    context: Context

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=_memory()))
        self.settings = Settings(home=self.folder, max_shard_rows=2)
        self.fleet = Fleet()
        self.truth = MemoryStore(clock=self.fleet.clock.time)
        self.watch = Watch(self.truth)
        self.store = SeamStore(self.truth, self.fleet, self.watch)
        self.messages: list[Message] = []
        self.submitted: dict[str, list[str]] = {}
        self.acknowledged: set[str] = set()
        self.wakes_in = 0
        self.patches = pytest.MonkeyPatch()
        for module in (kernel, journal, lease, sending):
            self.patches.setattr(module, "time", self.fleet.clock)
        self.patches.setattr(cutting, "ThreadPoolExecutor", AtOnce)
        self.patches.setattr(os, "fsync", lambda _: None)
        for module in (kernel, failure, accepted, journal):
            self.patches.setattr(module.log, "disabled", True)

    def open(self, provider: Provider, storage: SeamStorage) -> None:
        """Make the context of all workers."""
        self.context = Context(
            settings=self.settings,
            store=self.store,
            storage=storage,
            worker="worker",
            clients=Clients(self.settings, {NAME: provider}),
            keeper=Keeper(self.fleet, self.store, self.settings.lease),  # type: ignore[arg-type]
        )

    # --- what users do ------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.submitted) < BATCHES)
    @rule(
        rows=sizes,
        row_retries=st.integers(0, 2),
        timeout=st.sampled_from([None, None, None, 20.0, 600.0]),
        plan=plans,
    )
    def submit(self, rows: int, row_retries: int, timeout: float | None, plan: Plan | None) -> None:
        batch_id = f"b{len(self.submitted)}"
        self.submitted[batch_id] = [f"{batch_id}/{number}" for number in range(rows)]
        requests = [{"custom_id": name, "prompt": name} for name in self.submitted[batch_id]]

        def work() -> None:
            try:
                hint = submit(
                    self.context,
                    NAME,
                    {
                        "requests": requests,
                        "model": "m",
                        "batch_id": batch_id,
                        "row_retries": row_retries,
                        "timeout": timeout,
                    },
                )
            except (StoreUnavailableError, FileOperationError):
                return
            self.acknowledged.add(batch_id)
            self.publish(hint)

        self.fleet.run(batch_id, work, plan)

    @rule(number=st.integers(0, 7))
    def cancel(self, number: int) -> None:
        if f"b{number}" in self.submitted:  # seldom: what is cancelled early tells little
            self.store.cancel(f"b{number}")

    # --- what the fleet does ------------------------------------------------------------------------------------

    @precondition(lambda self: self.deliverable())
    @rule(which=numbers, times=st.sampled_from([1, 1, 1, 2, 0]), plan=plans, troubles=trouble_lists)
    def deliver(self, which: int, times: int, plan: Plan | None, troubles: list[Trouble | None]) -> None:
        message = pick(self.deliverable(), which)
        self.messages.remove(message)
        if times == 2:
            self.messages.append(message)
        if times:
            self.carry(message, plan, troubles)

    @rule(plan=plans, troubles=trouble_lists)
    def hurry(self, plan: Plan | None, troubles: list[Trouble | None]) -> None:
        """The next message, if need be after the sweep has made one."""
        for seconds in (0, 6, 10, 61, 91):
            self.wait(seconds)
            if self.deliverable():
                self.deliver(0, 1, plan, troubles)
                return

    @rule(steps=st.integers(1, 4))
    def carry_on(self, steps: int) -> None:
        for _ in range(steps):
            for message in self.deliverable()[:1]:
                self.messages.remove(message)
                self.carry(message)

    @precondition(lambda self: self.fleet.paused)
    @rule(which=numbers, plan=plans)
    def wake(self, which: int, plan: Plan | None) -> None:
        self.fleet.wake(pick(self.fleet.paused, which), plan)

    @rule(plan=plans)
    def settle_the_journal(self, plan: Plan | None) -> None:
        self.fleet.run("journal", lambda: journal.settle(self.context), plan)

    @rule(seconds=st.sampled_from([1.0, 6.0, 16.0, 61.0, 91.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.fleet.move(seconds, self.settings.renew_every)
        self.sweep()

    def sweep(self) -> None:
        """What each worker does once a second."""
        for hint in self.store.take_due(100, grace=self.settings.grace):
            self.publish(hint)

    # --- what holds at any time, and how it ends ----------------------------------------------------------------

    @invariant()
    def nothing_is_wrong_with_the_store(self) -> None:
        """Versions grow, states follow the table, open shards are counted."""
        assert self.watch.wrong == []

    def teardown(self) -> None:
        try:
            self.calm_down()
            self.check_results()
        finally:
            while self.fleet.paused:
                self.fleet.kill(self.fleet.paused[0])
            self.patches.undo()
            shutil.rmtree(self.folder)

    def calm_down(self) -> None:
        """Nothing goes wrong any more: everything ends, and a worker that wakes after that changes nothing."""
        self.wake_all(stuck=True)  # each call has a time-out
        self.settle()
        while self.fleet.paused:
            self.wake_all()
            self.settle()

    def settle(self) -> None:
        """Let time pass until all batches have ended and nothing is on its way."""
        until = self.fleet.clock.now + self.patience
        pause = 1.0
        while self.moving() or self.service.late or any(worker.wakes_at for worker in self.fleet.paused):
            assert self.fleet.clock.now < until, self.moving()
            self.sweep()
            due = self.deliverable()
            for message in due:
                self.messages.remove(message)
                self.carry(message)
            self.wakes_in -= len(due)
            if self.wakes_in <= 0:
                self.wake_all()
            pause = 1.0 if due else min(self.quiet, 2 * pause)
            if pause == self.quiet:
                for shard in self.parked():
                    self.wake_all()
                    self.decide(shard)
            self.fleet.move(pause, 60.0)
            self.settle_the_journal(None)
            self.check_now()
        self.settle_the_journal(None)
        self.check_now()

    def wake_all(self, *, stuck: bool = False) -> None:
        """Let all go on that are paused, or those alone that are stuck."""
        for worker in [worker for worker in self.fleet.paused if worker.renews or not stuck]:
            if worker in self.fleet.paused:
                self.fleet.wake(worker)

    def decide(self, shard: Shard) -> None:
        """What an operator does about a parked shard."""
        raise NotImplementedError

    def check_now(self) -> None:
        """What holds at any time."""
        self.nothing_is_wrong_with_the_store()

    def check_results(self) -> None:
        """What holds in the end."""
        raise NotImplementedError

    def results_of(self, batch: Batch) -> list[UnifiedResult]:
        """Those of a batch that has ended: one for each row, in order; the books say the same."""
        names = self.submitted[batch.id]
        assert batch.manifest is not None
        client = BatchClient(self.context)
        results = list(client.results(batch.id))
        assert [result.custom_id for result in results] == names
        counts = Counter(result.status for result in results)
        sums = {status.value: counts[status] for status in ResultStatus}
        assert client.manifest(batch.id).request_counts == ManifestCounts(total=len(names), **sums)
        return results

    # --- helpers ------------------------------------------------------------------------------------------------

    def carry(self, message: Message, plan: Plan | None = None, troubles: Sequence[Trouble | None] = ()) -> None:
        """Deliver a message to a worker."""

        def work() -> None:
            try:
                done = advance(self.context, message.item_id, message.version)
            except StoreUnavailableError:
                return
            if done is None:
                return
            self.fleet.seam()
            for hint in done.woken:
                self.publish(hint)
            if done.hint is not None and done.delay <= LONGEST_COUNTDOWN:
                self.publish(done.hint, done.delay)

        before = self._item(message.item_id)
        calls = self.service.calls
        stale = before is not None and before.version != message.version
        self.fleet.run(message.item_id, work, plan, troubles)
        if stale:
            assert (self._item(message.item_id), self.service.calls) == (before, calls)

    def publish(self, hint: Hint, delay: float = 0) -> None:
        """Send a message, which arrives after a delay."""
        self.messages.append(Message(hint.id, hint.version, self.fleet.clock.now + delay))

    def deliverable(self) -> list[Message]:
        return [message for message in self.messages if message.at <= self.fleet.clock.now]

    def parked(self) -> list[Shard]:
        return [shard for name in self.submitted for shard in self.shards(name) if shard.state is State.PARKED]

    def shards(self, batch_id: str) -> list[Shard]:
        batch = self.truth.get_batch(batch_id)
        return self.truth.get_shards(batch) if batch else []

    def moving(self) -> list[str]:
        """The batches that have not ended."""
        batches = [self.truth.get_batch(name) for name in self.submitted]
        return [batch.id for batch in batches if batch and not batch.state.is_final]

    def _item(self, item_id: str) -> Batch | Shard | None:
        return self.truth.get_shard(item_id) if "." in item_id else self.truth.get_batch(item_id)


def pick(values: list[Any], which: int) -> Any:
    """One of the values."""
    return values[which % len(values)]


def _memory() -> Path | None:
    """A folder that is no disk, where there is one."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None
