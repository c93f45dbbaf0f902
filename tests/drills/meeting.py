"""Operators' commands against steps: a worker is in the midst of one while a command runs to its end.

It waits at an effect until the command has been answered, and goes on with what it believes. Or it is stopped there,
another worker ends the batch, an operator purges it, and then the first one wakes: nothing of the batch may come back.
"""

import time
from functools import partial
from typing import Literal, NamedTuple

from .bill import paid_twice
from .commands import RESOLVES, ask, given, is_gone, retry_of, submit, wait_for_end
from .courses import COURSES, Course
from .drill import Drill, Outcome
from .effects import EFFECTS, Effect
from .invariants import Findings, check, jobs_beyond_the_first, left_behind, left_of, remote_objects, what_is_kept
from .stack import Stack
from .stop import SETTLE, stop_and_overtake, stop_drills, wake
from .trace import Plan

# A command may be refused, and what was to end goes on: a lease, and a look for a job.
_RECOVERY = 120.0
_ANY = frozenset({"succeeded", "errored", "cancelled", "expired"})
# Effects that a worker has with no batch.
_OF_NO_BATCH = ("start/", "sweep/", "watch/")


class Meeting(NamedTuple):
    """A command runs while a worker waits at an effect."""

    command: str
    when: Literal["before", "after"]
    effect: Effect
    provider: str

    @property
    def fault(self) -> str:
        """What the table calls it."""
        return f"{self.command.partition(' ')[0]} during a step"

    def __str__(self) -> str:
        return f"{self.command} {self.when} {self.effect.name}, {self.provider}"


def meetings() -> list[Meeting]:
    """A cancel at each effect, before or after it in turn; the others where a step ends, or its shard is parked."""
    steps = [effect for effect in EFFECTS if effect.by == "worker" and not effect.name.startswith(_OF_NO_BATCH)]
    runs = [effect for effect in steps if COURSES[effect.course].during is None]
    ends = [effect for effect in runs if effect.name.endswith("/store.commit")]
    parked = [effect for effect in steps if effect.name.startswith("park/")]
    met = [("cancel", effect, provider) for effect in runs for provider in effect.providers]
    met += [(command, effect, "openai") for effect in ends for command in ("purge", "retry", "resume", *RESOLVES[2:])]
    met += [(command, effect, "openai") for effect in parked for command in ("cancel", "purge", *RESOLVES)]
    return [
        Meeting(command, "before" if number % 2 else "after", effect, provider)
        for number, (command, effect, provider) in enumerate(met)
    ]


def run_meeting(stack: Stack, meeting: Meeting) -> list[Outcome]:
    """See the module."""
    course = COURSES[meeting.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(meeting.provider)
    again = retry_of(batch_id)
    plan = Plan(id=batch_id, when=meeting.when, effect=meeting.effect.name, batch=batch_id, do="wait")
    with stack.planned(plan):
        submit(stack, course, meeting.provider, batch_id)
        wait_for_end(stack, batch_id, course.deadline, until=lambda: stack.fired(plan) is not None)
        said = ask(stack, meeting.command, given(stack, meeting.command, batch_id))
        stack.let_go(plan)
        for each in (batch_id, again):
            wait_for_end(stack, each, course.deadline + _RECOVERY, until=partial(is_gone, stack, each))
    findings = _found(stack, batch_id, course)
    if course.orphans:
        ask(stack, "orphans", {"provider": meeting.provider})
    findings = findings.plus(*left_behind(stack, there, [batch_id, again]))
    findings = findings if said else findings.plus(f"{meeting.command} said nothing")
    return [Outcome(meeting.fault, str(meeting), findings.struck(stack.fired(plan)))]


def _found(stack: Stack, batch_id: str, course: Course) -> Findings:
    batch = stack.store.get_batch(batch_id)
    if batch is None:
        return Findings(problems=tuple(what_is_kept(stack, batch_id)))
    return check(stack, batch_id, course._replace(state=batch.state.value, statuses=_ANY, counts=None))


def purge_drills() -> list[Drill]:
    """A worker is stopped before or after each effect that it has with a batch, in turn."""
    struck = [drill for drill in stop_drills() if not drill.effect.name.startswith((*_OF_NO_BATCH, "park/"))]
    struck = [drill for drill in struck if drill.provider != "vllm"]  # its rows are held until the worker wakes
    return [drill for number, drill in enumerate(struck) if number % 4 in (0, 3)]


def run_purge(stack: Stack, drill: Drill) -> list[Outcome]:
    """Stopped, overtaken, the batch purged, and woken."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(drill.provider)
    plan = Plan(id=batch_id, when=drill.when, effect=drill.effect.name, batch=batch_id, do="stop")
    with stack.planned(plan):
        fired = stop_and_overtake(stack, course, drill.provider, plan)
        batch = stack.store.get_batch(batch_id)
        shards = stack.store.get_shards(batch) if batch else []
        ask(stack, "purge", {"batch_id": batch_id})
        wake(stack, fired)
    deadline = time.monotonic() + SETTLE
    twice, undone = jobs_beyond_the_first(stack, shards)
    while twice and time.monotonic() < deadline:  # a late job that a worker has yet to cancel
        time.sleep(0.5)
        twice, undone = jobs_beyond_the_first(stack, shards)
    problems = (*what_is_kept(stack, batch_id), *left_of(stack, there, shards))
    found = Findings(0, 0, twice, paid_twice(stack, batch_id, undone), len(undone), 0, problems)
    return [Outcome("purged while a worker is stopped", f"purge, {drill}", found.struck(fired))]
