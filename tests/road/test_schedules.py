"""Schedules of all that may happen to a fleet, thousands of them: nothing is lost, and nothing is paid twice.

The service keeps its word: its lists are up to date, and it has our clock. `HYPOTHESIS_PROFILE=drill` tries many more.
"""

from collections import Counter
from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from batch_router.core import ResultStatus
from batch_router.operations.resolve import resolve
from batch_router.state.items import Batch, Shard
from tests.road.chances import PROFILE, Harm, numbers, plans, sizes, some, step_counts, trouble_lists
from tests.road.fleet import Fate, Plan
from tests.road.seams import SeamStorage
from tests.road.service import End, ModelClient, ModelJob, Service
from tests.road.wire import LATEST, Fault, ModelProvider, Trouble
from tests.road.world import World, pick

some_rows: st.SearchStrategy[set[int]] = st.just(set()) | st.sets(st.integers(0, 1))


class Schedules(World):
    """A fleet and a service that keeps its word."""

    service: Service

    @initialize(
        takes_files=st.booleans(),
        rows=sizes,
        row_retries=st.integers(0, 2),
        steps=step_counts,
        troubles=trouble_lists,
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
        self.open(ModelProvider(ModelClient(self.service)), SeamStorage(self.folder, self.fleet))
        self.submit(rows, row_retries, None, None)
        self.carry_on(steps)
        self.hurry(plan, troubles)

    @precondition(lambda self: self.parked())
    @rule(which=numbers)
    def operate(self, which: int) -> None:
        self.decide(pick(self.parked(), which))

    @precondition(lambda self: self._running())
    @rule(which=numbers, how=st.sampled_from(End), silent=some_rows, busy=some_rows, again=some_rows)
    def end(self, which: int, how: End, silent: set[int], busy: set[int], again: set[int]) -> None:
        pick(self._running(), which).end(how, silent, busy, again)

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        """At most one job of a shard may be at work or done, and no row is answered in two jobs."""
        jobs = list(self.service.jobs.values())
        at_work = Counter(job.label for job in jobs if job.error is None and not job.cancel_asked)
        assert [label for label, count in at_work.items() if count > 1] == []
        paid = Counter(say for job in jobs for say in job.paid)
        assert [say for say, count in paid.items() if count > 1] == []

    def calm_down(self) -> None:
        self.service.calm = True
        super().calm_down()
        for job in self._running():
            job.end(End.ANSWERED)  # a job that no shard owns is paid for, too

    def check_now(self) -> None:
        super().check_now()
        self.nothing_is_paid_twice()

    def check_results(self) -> None:
        """Each row has one result, in order; what was answered and paid is among them; the books say the same."""
        for batch_id in self.submitted:
            batch = self.truth.get_batch(batch_id)
            if batch is None:
                continue  # the store never knew it
            results = self.results_of(batch)
            answered = {result.text for result in results if result.status is ResultStatus.SUCCEEDED}
            jobs = [job for job in self.service.jobs.values() if not job.cancel_asked or job.id in self._owned(batch)]
            paid = {say for job in jobs for say in job.paid if say.startswith(f"{batch_id}/")}
            assert answered == paid

    def decide(self, shard: Shard) -> None:
        """What an operator finds: the job, or none, and none on its way. Otherwise they wait."""
        jobs = [job for job in self.service.of_label(shard.label) if job.error is None]
        if jobs:
            resolve(self.context, shard.id, attach=jobs[0].id)
        elif not self.service.is_coming(shard.label) and all(each.about != shard.id for each in self.fleet.paused):
            resolve(self.context, shard.id, recreate=True)

    def _owned(self, batch: Batch) -> set[str]:
        return {shard.job.id for shard in self.truth.get_shards(batch) if shard.job}

    def _running(self) -> list[ModelJob]:
        return [job for job in self.service.jobs.values() if not job.status.is_final]


@pytest.mark.parametrize("takes_files", [True, False])
def test_one_harm_at_a_time(takes_files: bool) -> None:
    """Each fate at each seam of each step, and each fault in each of its calls; the user may cancel after it."""
    fates: list[Harm] = [(Plan(seam, fate), []) for seam in range(9) for fate in Fate]
    faults: list[Harm] = [(None, [*[None] * call, Trouble(fault, LATEST)]) for call in range(2) for fault in Fault]
    ends = [(5, False), (50, True)]
    for steps, (plan, troubles), (wakes_in, cancels) in some(product(range(7), fates + faults, ends), 3):
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
    for steps, seam, fate in some(product(range(1, 7), range(6), Fate), 7):
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
