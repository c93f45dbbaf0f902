"""Two strikes: a worker is killed at an effect, and the one that takes its item over at whatever it does first."""

from typing import Literal, NamedTuple

from .commands import submit, wait_for_end
from .courses import COURSES
from .drill import Outcome, drills, recovered
from .effects import Effect
from .invariants import check, left_behind, remote_objects
from .stack import Stack
from .trace import Plan

# Two leases, two starts of a worker, and a look for a job.
_RECOVERY = 180.0


class Twice(NamedTuple):
    """A kill, and another one right after it."""

    when: Literal["before", "after"]
    effect: Effect
    provider: str

    @property
    def fault(self) -> str:
        """What the table calls it."""
        return "killed, and the successor as well"

    def __str__(self) -> str:
        return f"{self.fault}, {self.when} {self.effect.name}, {self.provider}"


def twice_drills() -> list[Twice]:
    """Before or after every second effect that a worker has with an item, in turn.

    A quarter: one run waits for two leases, and what the successor finds is what it finds after one kill. The storms
    kill successors at random, at all effects.
    """
    struck = [drill for drill in drills("kill", "worker") if not drill.effect.name.startswith(("start/", "sweep/"))]
    return [Twice(drill.when, drill.effect, drill.provider) for n, drill in enumerate(struck) if n % 4 == n // 4 % 2]


def run_twice(stack: Stack, drill: Twice) -> list[Outcome]:
    """Both must be found out about by a third worker."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(drill.provider)
    first = Plan(id=batch_id, when=drill.when, effect=drill.effect.name, batch=batch_id, do="kill")
    second = Plan(id=f"{batch_id}-again", when="before", effect="", batch=batch_id, do="kill", follows=first.id)
    with stack.planned(first, second):
        submit(stack, course, drill.provider, batch_id)
        wait_for_end(stack, batch_id, course.deadline + _RECOVERY)
    findings = check(stack, batch_id, course).plus(*left_behind(stack, there, [batch_id]))
    findings = findings.struck(stack.fired(first))
    return [recovered(Outcome(drill.fault, str(drill), findings), stack.fired(second), stack, batch_id)]
