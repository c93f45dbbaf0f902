"""Schedules of all that may happen to a fleet, thousands of them: nothing is lost, and nothing is paid twice.

The steps, the state table, the retry decisions and the store are the real ones; the clock, the provider's service
and the workers' processes are models that the test moves. `HYPOTHESIS_PROFILE=drill` tries many more schedules.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batch_router.client import BatchClient
from batch_router.core import ManifestCounts, ResultStatus
from batch_router.exceptions import StoreUnavailableError
from batch_router.operations.resolve import resolve
from batch_router.operations.submit import submit
from batch_router.road import advance as kernel
from batch_router.road import cutting, failure, journal, lease, sending
from batch_router.road.advance import LONGEST_COUNTDOWN, advance
from batch_router.road.context import Clients, Context
from batch_router.settings import Settings
from batch_router.state.base import Hint
from batch_router.state.items import Batch, Shard
from batch_router.state.memory import MemoryStore
from batch_router.state.table import State
from tests.road.fleet import Fate, Fleet, Plan
from tests.road.seams import AtOnce, Keeper, SeamStorage, SeamStore, Watch
from tests.road.service import LATEST, NAME, End, Fault, ModelJob, ModelProvider, Service, Trouble

_ODD = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile(
    "schedules", max_examples=250, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=_ODD
)
settings.register_profile(
    "drill", settings.get_profile("schedules"), max_examples=5000, derandomize=False, print_blob=True
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "schedules"))

#: Once nothing goes wrong any more, everything ends within this time.
PATIENCE = 24 * 3600.0
BATCHES = 2
QUIET = 60.0

fates = st.builds(Plan, st.integers(0, 9), st.sampled_from([Fate.PAUSED, Fate.DIES, *Fate]))
faults = st.builds(Trouble, st.sampled_from([Fault.LATE, Fault.LOST, *Fault]), st.sampled_from([20.0, 70.0, LATEST]))
plans = st.none() | fates
some_troubles: st.SearchStrategy[list[Trouble | None]] = st.lists(st.none() | faults, min_size=1, max_size=3)
troubles: st.SearchStrategy[Sequence[Trouble | None]] = st.just([]) | st.lists(faults, max_size=1) | some_troubles
numbers = st.integers(0, 100)
sizes = st.sampled_from([1, 2, 3, 8])
steps = st.sampled_from([2, 2, 3, 4, 1, 0])  # after two, a batch of one shard is about to have its job created
some_rows: st.SearchStrategy[set[int]] = st.just(set()) | st.sets(st.integers(0, 1))

#: What befalls a worker, and its calls.
Harm = tuple[Plan | None, Sequence[Trouble | None]]


class Message(msgspec.Struct, frozen=True):
    """What the broker holds; it is not delivered before its time."""

    item_id: str
    version: int
    at: float


class Schedules(RuleBasedStateMachine):
    """A fleet, a service, a broker that loses and repeats, and a clock that moves."""

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
        self.patches = pytest.MonkeyPatch()
        for module in (kernel, journal, lease, sending):
            self.patches.setattr(module, "time", self.fleet.clock)
        self.patches.setattr(cutting, "ThreadPoolExecutor", AtOnce)
        self.patches.setattr(os, "fsync", lambda _: None)
        for module in (kernel, failure):
            self.patches.setattr(module.log, "disabled", True)

    @initialize(
        takes_files=st.booleans(),
        rows=sizes,
        row_retries=st.integers(0, 2),
        steps=steps,
        troubles=troubles,
        plan=plans,
        wakes_in=st.integers(0, 15),
    )
    def begin(
        self,
        takes_files: bool,
        rows: int,
        row_retries: int,
        steps: int,
        troubles: list[Trouble | None],
        plan: Plan | None,
        wakes_in: int,
    ) -> None:
        """A batch on its way, and how many messages into the calm after all this those who are paused go on."""
        self.wakes_in = wakes_in
        self.service = Service(self.fleet, takes_files=takes_files)
        self.fleet.on_time = self.service.arrive
        self.context = Context(
            settings=self.settings,
            store=self.store,
            storage=SeamStorage(self.folder, self.fleet),
            worker="worker",
            clients=Clients(self.settings, {NAME: ModelProvider(self.service)}),
            keeper=Keeper(self.fleet, self.store, self.settings.lease),  # type: ignore[arg-type]
        )
        self.submit(rows, row_retries, None, None)
        self.carry_on(steps)
        self.hurry(plan, troubles)

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
            except StoreUnavailableError:
                return
            self._publish(hint)

        self.fleet.run(batch_id, work, plan)

    @rule(number=st.integers(0, 7))
    def cancel(self, number: int) -> None:
        if f"b{number}" in self.submitted:  # seldom: what is cancelled early tells little
            self.store.cancel(f"b{number}")

    @precondition(lambda self: self._parked())
    @rule(which=numbers)
    def operate(self, which: int) -> None:
        self._decide(_pick(self._parked(), which))

    # --- what the fleet does ------------------------------------------------------------------------------------

    @precondition(lambda self: self._deliverable())
    @rule(which=numbers, times=st.sampled_from([1, 1, 1, 2, 0]), plan=plans, troubles=troubles)
    def deliver(self, which: int, times: int, plan: Plan | None, troubles: list[Trouble | None]) -> None:
        message = _pick(self._deliverable(), which)
        self.messages.remove(message)
        if times == 2:
            self.messages.append(message)
        if times:
            self._deliver(message, plan, troubles)

    @rule(plan=plans, troubles=troubles)
    def hurry(self, plan: Plan | None, troubles: list[Trouble | None]) -> None:
        """The next message, if need be after the sweep has made one."""
        for seconds in (0, 6, 10, 61, 91):
            self.wait(seconds)
            if self._deliverable():
                self.deliver(0, 1, plan, troubles)
                return

    @rule(steps=st.integers(1, 4))
    def carry_on(self, steps: int) -> None:
        for _ in range(steps):
            for message in self._deliverable()[:1]:
                self.messages.remove(message)
                self._deliver(message)

    def _sweep(self) -> None:
        for hint in self.store.take_due(100, grace=self.settings.grace):
            self._publish(hint)

    @precondition(lambda self: self.fleet.paused)
    @rule(which=numbers, plan=plans)
    def wake(self, which: int, plan: Plan | None) -> None:
        self.fleet.wake(_pick(self.fleet.paused, which), plan)

    @rule(plan=plans)
    def settle_the_journal(self, plan: Plan | None) -> None:
        self.fleet.run("journal", lambda: journal.settle(self.context), plan)

    @rule(seconds=st.sampled_from([1.0, 6.0, 16.0, 61.0, 91.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.fleet.move(seconds, self.settings.renew_every)
        self._sweep()

    # --- what the service does ----------------------------------------------------------------------------------

    @precondition(lambda self: self._running())
    @rule(which=numbers, how=st.sampled_from(End), silent=some_rows, busy=some_rows, again=some_rows)
    def end(self, which: int, how: End, silent: set[int], busy: set[int], again: set[int]) -> None:
        _pick(self._running(), which).end(how, silent, busy, again)

    # --- what holds at any time ---------------------------------------------------------------------------------

    @invariant()
    def nothing_is_wrong_with_the_store(self) -> None:
        """Versions grow, states follow the table, open shards are counted."""
        assert self.watch.wrong == []

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        """At most one job of a shard may be at work or done, and no row is answered in two jobs."""
        jobs = list(self.service.jobs.values())
        at_work = Counter(job.label for job in jobs if job.error is None and not job.cancel_asked)
        assert [label for label, count in at_work.items() if count > 1] == []
        paid = Counter(say for job in jobs for say in job.paid)
        assert [say for say, count in paid.items() if count > 1] == []

    # --- how it ends --------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._calm_down()
            self._check_results()
        finally:
            while self.fleet.paused:
                self.fleet.kill(self.fleet.paused[0])
            self.patches.undo()
            shutil.rmtree(self.folder)

    def _calm_down(self) -> None:
        """Nothing goes wrong any more: everything ends, and a worker that wakes after that changes nothing."""
        self.service.calm = True
        self._wake_all(stuck=True)  # each call has a time-out
        self._settle()
        while self.fleet.paused:
            self._wake_all()
            self._settle()
        for job in self._running():
            job.end(End.ANSWERED)  # a job that no shard owns is paid for, too

    def _settle(self) -> None:
        until = self.fleet.clock.now + PATIENCE
        pause = 1.0
        while self._moving() or self.service.late or any(worker.wakes_at for worker in self.fleet.paused):
            assert self.fleet.clock.now < until, self._moving()
            self._sweep()
            due = self._deliverable()
            for message in due:
                self.messages.remove(message)
                self._deliver(message)
            self.wakes_in -= len(due)
            if self.wakes_in <= 0:
                self._wake_all()
            pause = 1.0 if due else min(QUIET, 2 * pause)
            if pause == QUIET:
                for shard in self._parked():
                    self._wake_all()
                    self._decide(shard)
            self.fleet.move(pause, QUIET)
            self.settle_the_journal(None)
            self._check()
        self.settle_the_journal(None)
        self._check()

    def _wake_all(self, *, stuck: bool = False) -> None:
        for worker in [worker for worker in self.fleet.paused if worker.renews or not stuck]:
            if worker in self.fleet.paused:
                self.fleet.wake(worker)

    def _check(self) -> None:
        self.nothing_is_wrong_with_the_store()
        self.nothing_is_paid_twice()

    def _check_results(self) -> None:
        """Each row has one result, in order; what was answered and paid is among them; the books say the same."""
        for batch_id, names in self.submitted.items():
            batch = self.truth.get_batch(batch_id)
            if batch is None or not (batch.shards or batch.failure is None):
                continue  # the store never knew it, or its time was over before it began
            assert batch.manifest is not None
            client = BatchClient(self.context)
            results = list(client.results(batch_id))
            assert [result.custom_id for result in results] == names
            counts = Counter(result.status for result in results)
            sums = {status.value: counts[status] for status in ResultStatus}
            assert client.manifest(batch_id).request_counts == ManifestCounts(total=len(names), **sums)
            answered = {result.text for result in results if result.status is ResultStatus.SUCCEEDED}
            jobs = [job for job in self.service.jobs.values() if not job.cancel_asked or job.id in self._owned(batch)]
            paid = {say for job in jobs for say in job.paid if say.startswith(f"{batch_id}/")}
            assert answered == paid

    # --- helpers ------------------------------------------------------------------------------------------------

    def _deliver(self, message: Message, plan: Plan | None = None, troubles: Sequence[Trouble | None] = ()) -> None:
        def work() -> None:
            try:
                done = advance(self.context, message.item_id, message.version)
            except StoreUnavailableError:
                return
            if done is None:
                return
            self.fleet.seam()
            for hint in done.woken:
                self._publish(hint)
            if done.hint is not None and done.delay <= LONGEST_COUNTDOWN:
                self._publish(done.hint, done.delay)

        before = self._item(message.item_id)
        calls = self.service.calls
        stale = before is not None and before.version != message.version
        self.fleet.run(message.item_id, work, plan, troubles)
        if stale:
            assert (self._item(message.item_id), self.service.calls) == (before, calls)

    def _publish(self, hint: Hint, delay: float = 0) -> None:
        self.messages.append(Message(hint.id, hint.version, self.fleet.clock.now + delay))

    def _deliverable(self) -> list[Message]:
        return [message for message in self.messages if message.at <= self.fleet.clock.now]

    def _decide(self, shard: Shard) -> None:
        """What an operator finds: the job, or none, and none on its way. Otherwise they wait."""
        jobs = [job for job in self.service.of_label(shard.label) if job.error is None]
        if jobs:
            resolve(self.context, shard.id, attach=jobs[0].id)
        elif not self.service.is_coming(shard.label) and all(each.about != shard.id for each in self.fleet.paused):
            resolve(self.context, shard.id, recreate=True)

    def _item(self, item_id: str) -> Batch | Shard | None:
        return self.truth.get_shard(item_id) if "." in item_id else self.truth.get_batch(item_id)

    def _shards(self, batch_id: str) -> list[Shard]:
        batch = self.truth.get_batch(batch_id)
        return self.truth.get_shards(batch) if batch else []

    def _owned(self, batch: Batch) -> set[str]:
        return {shard.job.id for shard in self.truth.get_shards(batch) if shard.job}

    def _parked(self) -> list[Shard]:
        return [shard for name in self.submitted for shard in self._shards(name) if shard.state is State.PARKED]

    def _running(self) -> list[ModelJob]:
        return [job for job in self.service.jobs.values() if not job.status.is_final]

    def _moving(self) -> list[str]:
        batches = [self.truth.get_batch(name) for name in self.submitted]
        return [batch.id for batch in batches if batch and not batch.state.is_final]


def _pick(values: list[Any], which: int) -> Any:
    return values[which % len(values)]


def _memory() -> Path | None:
    """A folder that is no disk, where there is one."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else None


@pytest.mark.parametrize("takes_files", [True, False])
def test_one_harm_at_a_time(takes_files: bool) -> None:
    """Each fate at each seam of each step, and each fault in each of its calls; the user may cancel after it."""
    fates: list[Harm] = [(Plan(seam, fate), []) for seam in range(9) for fate in Fate]
    faults: list[Harm] = [(None, [*[None] * call, Trouble(fault, LATEST)]) for call in range(2) for fault in Fault]
    for steps, (plan, troubles), (wakes_in, cancels) in product(range(7), fates + faults, [(5, False), (50, True)]):
        schedule = Schedules()
        schedule.begin(takes_files, 1, 0, 0, [], None, wakes_in)
        schedule.service.calm = True
        schedule.carry_on(steps)
        schedule.hurry(plan, troubles)
        if cancels:
            schedule.cancel(0)
        schedule.teardown()


LATE = (End.UNNAMED, End.ABSENT, End.REFUSED_ROW, End.NO_TOKENS)


@pytest.mark.parametrize("how", LATE)
def test_one_harm_on_the_way_back(how: End) -> None:
    """The same while answers are late, and while a refused job's rows go again: each fate at each seam of each step."""
    for steps, seam, fate in product(range(1, 7), range(6), Fate):
        schedule = Schedules()
        schedule.begin(True, 2, 1, 0, [], None, 5)
        schedule.carry_on(4)  # converted, uploaded, created, and looked at once
        for job in schedule.service.jobs.values():
            job.end(how)
        for _ in range(steps):
            schedule.hurry(None, [])
        schedule.hurry(Plan(seam, fate), [])
        schedule.teardown()


@pytest.mark.parametrize("fate", Fate)
def test_a_harmed_submission(fate: Fate) -> None:
    """The batch is there, with its rows, or it is not."""
    for seam in range(11):
        schedule = Schedules()
        schedule.begin(True, 1, 0, 0, [], None, 0)
        schedule.submit(3, 0, None, Plan(seam, fate))
        schedule.teardown()


@pytest.mark.timeout(1800)
def test_schedules() -> None:
    """Whatever happens in whatever order, each row gets one result, and no row is paid for twice."""
    run_state_machine_as_test(Schedules, settings=PROFILE)
