"""Schedules of all that may happen to a fleet whose service lies, whose store forgets and whose storage fails.

The service keeps what providers state: it shows a job within its bound. What is paid, it counts by itself, by its own
clock. `HYPOTHESIS_PROFILE=drill` tries many more.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle, product
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from batch_router.core import ErrorType, ResultStatus
from batch_router.exceptions import BatchRouterError, FileOperationError, StoreUnavailableError
from batch_router.operations.purge import purge
from batch_router.operations.rebuild import find_again
from batch_router.operations.resolve import resolve
from batch_router.state.items import Batch, Shard
from tests.road import lying_service as lying
from tests.road.chances import PROFILE, numbers, plans, sizes, some, step_counts, trouble_lists
from tests.road.commands import Commands
from tests.road.fleet import Plan
from tests.road.forgetting import EVERYTHING, Back, FailingStorage, Past
from tests.road.lying_service import (
    BOUND,
    Fit,
    Habits,
    Life,
    LyingClient,
    LyingJob,
    LyingService,
    Shows,
    UnlabelledProvider,
)
from tests.road.wire import LATEST, Fault, ModelProvider, Trouble
from tests.road.world import pick

_HOUR = 3600.0

#: How many runs there were, and in how many of them what happened.
TALLY: "Counter[str]" = Counter()

lags = st.sampled_from([0.0, 0.0, 2.0, 60.0, BOUND])
habits = st.builds(Habits, lags, lags)
some_fates = st.lists(st.sampled_from([lying.Fate.ANSWERED, *lying.Fate]), min_size=1, max_size=2).map(tuple)
lives = st.builds(
    Life,
    begins=st.sampled_from([1.0, 0.0, 100.0]),
    pace=st.sampled_from([1.0, 0.0, 30.0, 2000.0, 15 * _HOUR]),  # with two rows, the last one expires
    rows=st.just((lying.Fate.ANSWERED,)) | some_fates,
    named=lags,
    there=lags,
    fit=st.sampled_from([Fit.WELL, Fit.WELL, *Fit]),
    refused=st.sampled_from([False, False, False, False, True]),
)


class LyingSchedules(Commands):
    """A fleet, a service that lies, a store that forgets, a storage that fails."""

    patience = 96 * _HOUR
    quiet = 600.0
    service: LyingService

    @initialize(
        shows=st.sampled_from(Shows),
        offset=st.sampled_from([0.0, -3 * _HOUR, 3 * _HOUR, 40.0]),
        some_lives=st.lists(lives, min_size=1, max_size=2),
        habits=habits,
        rows=sizes,
        row_retries=st.integers(0, 2),
        steps=step_counts,
        troubles=trouble_lists,
        plan=plans,
        wakes_in=st.integers(0, 15),
    )
    def begin(
        self,
        shows: Shows,
        offset: float,
        some_lives: list[Life],
        habits: Habits,
        rows: int,
        row_retries: int,
        steps: int,
        troubles: list[Trouble | None],
        plan: Plan | None,
        wakes_in: int,
    ) -> None:
        """A batch on its way, at a service of some kind."""
        self.wakes_in = wakes_in
        self.service = LyingService(self.fleet, shows, offset=offset, lives=some_lives)
        self.service.habits = habits
        self.service.on_delete = self._check_safe
        self.fleet.on_time = self.service.arrive
        self.storage = FailingStorage(self.folder, self.fleet)
        self.past = Past(self.truth)
        self.store.on_change = self.past.remember
        self.searched = self.truth.epoch
        self.purged: set[str] = set()
        self.happened.add("runs")
        self.has_all = True
        client = LyingClient(self.service)
        self.open(UnlabelledProvider(client) if shows is Shows.ROWS else ModelProvider(client), self.storage)
        self.submit(rows, row_retries, None, None)
        self.carry_on(steps)
        self.hurry(plan, troubles)

    # --- what lies, forgets and fails ---------------------------------------------------------------------------

    @rule(habits=habits)
    def lie(self, habits: Habits) -> None:
        self.service.habits = habits

    @precondition(lambda self: self.service.jobs)
    @rule(which=numbers, seconds=st.sampled_from([1.0, 60.0, 700.0, 5 * _HOUR, 9 * _HOUR]))
    def deny(self, which: int, seconds: float) -> None:
        """The service says of a job that there is none; its lists show it."""
        job = pick(list(self.service.jobs.values()), which)
        job.unknown_until = self.service.now() + seconds

    @rule(back=st.sampled_from([Back(1), Back(2), Back(4), Back(seconds=1), Back(seconds=60), EVERYTHING]))
    def forget(self, back: Back) -> None:
        self.past.forget(back)
        self.watch.forget()
        self.truth.announce("w", [], ttl=1)
        self.happened.add("forgotten")

    @rule(seconds=st.sampled_from([1.0, 16.0, 60.0, 700.0]))
    def storage_fails(self, seconds: float) -> None:
        self.storage.away_until = self.fleet.clock.now + seconds

    # --- what workers and operators do about it -----------------------------------------------------------------

    @precondition(lambda self: self.searched != self.truth.epoch)
    @rule(plan=plans)
    def search(self, plan: Plan | None) -> None:
        """Each worker looks once for what the store forgot."""
        epoch = self.truth.epoch

        def work() -> None:
            with suppress(StoreUnavailableError, FileOperationError):
                find_again(self.context)
                self.searched = epoch

        self.fleet.run("search", work, plan)

    def sweep(self) -> None:
        if self.searched != self.truth.epoch:
            self.search(None)
        super().sweep()

    def moving(self) -> list[str]:
        return super().moving() + ["search"] * (self.searched != self.truth.epoch)

    @precondition(lambda self: self.parked())
    @rule(which=numbers, gives_up=st.booleans())
    def operate(self, which: int, gives_up: bool) -> None:
        shard = pick(self.parked(), which)
        if gives_up:
            self.happened.add("given up")
            with suppress(BatchRouterError):
                resolve(self.context, shard.id, give_up=True)
        else:
            self.decide(shard)

    @rule(number=st.integers(0, 7))
    def purge(self, number: int) -> None:
        batch = self.truth.get_batch(f"b{number}")
        if batch is not None and batch.state.is_final:
            self.purged.add(batch.id)
            with suppress(FileOperationError):
                purge(self.context, batch)

    def decide(self, shard: Shard) -> None:
        """What an operator finds at the provider's own console: the job, or none, and none on its way."""
        self.happened.add("parked")
        jobs = self.service.of_label(shard.label)
        is_coming = self.service.is_coming(shard.label) or any(each.about == shard.id for each in self.fleet.paused)
        with suppress(BatchRouterError):  # a job that runs may not show whose it is, or the storage is away
            if jobs:
                resolve(self.context, shard.id, attach=jobs[0].id)
            elif not is_coming:
                resolve(self.context, shard.id, recreate=True)

    # --- what holds at any time, and how it ends ----------------------------------------------------------------

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        """By the service's own count."""
        assert self.service.wrong == []
        bill = self.service.bill()
        assert [say for say, count in bill.items() if count > 1 + (say in self.asked_again)] == []

    def check_now(self) -> None:
        super().check_now()
        self.nothing_is_paid_twice()

    def calm_down(self) -> None:
        self.service.habits = Habits()
        for job in self.service.jobs.values():
            job.unknown_until = 0.0
        self.storage.away_until = 0.0
        self.service.lives = cycle([Life()])
        super().calm_down()
        self.fleet.clock.now += 48 * _HOUR  # all jobs end, also those that no worker asks for
        self.check_now()

    def check_results(self) -> None:
        """All that was acknowledged has ended; each row has one result; what was paid for is delivered."""
        TALLY.update(self.happened)
        for batch_id in self.acknowledged - self.purged:
            batch = self.truth.get_batch(batch_id)
            assert batch is not None, f"{batch_id} was acknowledged, and is lost"
            assert batch.state.is_final
            self._check_batch(batch)

    def _check_batch(self, batch: Batch) -> None:
        self.note_rows(batch)
        results = self.results_of(batch)
        answered = {result.text for result in results if result.status is ResultStatus.SUCCEEDED}
        self.has_all = self.has_all and len(answered) == len(results)
        errors = {result.custom_id: result.error.type for result in results if result.error is not None}
        given_up = {row for row, error in errors.items() if error == ErrorType.UNDECIDED}
        jobs = [job for job in self.service.jobs.values() if self._is_of(job, batch)]
        late = {say for job in jobs if job.sent_late for say in job.paid(self.service.now())}
        paid = {say for job in jobs if not job.sent_late for say in job.paid(self.service.now())}
        assert paid - given_up <= answered <= paid | late

    def _is_of(self, job: LyingJob, batch: Batch) -> bool:
        """By where its rows lie: those of a batch and of its `retry` say the same."""
        return any(Path(self.folder).glob(f"generated/*/{batch.id}/{job.label}"))

    def _check_safe(self, job: LyingJob) -> None:
        """Whether the answers of a job that is about to be deleted lie in storage."""
        lines: set[bytes] = set()
        for path in Path(self.folder).glob(f"generated/*/*/{job.label}/*-answers-*"):
            lines.update(path.read_bytes().splitlines())
        is_purged = any(say.split("/")[0] in self.purged for say in job.rows.values())
        if not is_purged and not lines.issuperset(job.answers()):
            self.service.wrong.append(f"{job.id} is deleted before its answers are safe")


Harm = Callable[[LyingSchedules], None]

BACK = (Back(1), Back(2), Back(seconds=1), Back(seconds=60), EVERYTHING)
LOST = (Trouble(Fault.LATE, LATEST), Trouble(Fault.LOST, 0.0))
HARMS: tuple[Harm, ...] = (
    *(lambda world, lag=lag: world.lie(lag) for lag in (Habits(lists=BOUND), Habits(jobs=BOUND), Habits(60.0, 2.0))),
    *(lambda world, seconds=seconds: world.deny(0, seconds) for seconds in (1.0, 700.0, 5 * _HOUR)),
    *(lambda world, seconds=seconds: world.storage_fails(seconds) for seconds in (16.0, 700.0)),
    *(lambda world, back=back: world.forget(back) for back in BACK),
)
LIVES = (
    Life(named=BOUND),
    Life(there=BOUND),
    Life(begins=0.0, pace=0.0, fit=Fit.NONE),
    Life(fit=Fit.STALE),
    Life(fit=Fit.ODD),
    Life(pace=2000.0),
)


@pytest.mark.parametrize("shows", Shows)
def test_one_lie_at_a_time(shows: Shows) -> None:
    """Each lie, failure and lost memory before each step of a batch, however its job is made: all rows succeed."""
    creates: list[Sequence[Trouble | None]] = [(), *([lost] for lost in LOST)]
    for step, harm, create in some(product(range(7), HARMS, creates), 11):
        world = LyingSchedules()
        world.begin(shows, 3 * _HOUR, [Life()], Habits(), 2, 0, 2, create, None, 5)
        world.carry_on(step)
        if world.service.jobs:  # else there is nothing to deny
            harm(world)
        world.settle()  # the lie lasts
        world.teardown()
        assert world.has_all


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("shows", Shows)
def test_each_life_of_a_job(shows: Shows, life: Life) -> None:
    """While a store forgets after each step: all rows succeed."""
    for step, back in some(product(range(9), BACK), 7):
        world = LyingSchedules()
        world.begin(shows, -3 * _HOUR, [life], Habits(60.0, 2.0), 2, 1, step, [], None, 5)
        world.forget(back)
        world.settle()
        world.teardown()
        assert world.has_all


@pytest.mark.timeout(1800)
def test_lying_schedules() -> None:
    """Whatever a service tells, and whatever the store forgets: each row has one result, and is paid for once."""
    TALLY.clear()
    run_state_machine_as_test(LyingSchedules, settings=settings(PROFILE, max_examples=PROFILE.max_examples // 3))
    assert TALLY["parked"] <= 0.01 * TALLY["runs"], TALLY
