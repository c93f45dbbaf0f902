"""A Redis that forgets: at an effect of the road the server dies, and comes back without what it heard last.

The process that has the effect waits there meanwhile, and goes on afterwards with what it believes. At first the drill
says what the server forgets: its log is cut back to what it was some time ago (a power cut, or a backup that is put
back), or a replica that is behind takes its place (a failover).
"""

import re
import threading
import time
from typing import Literal, NamedTuple

from batch_router.exceptions import StoreUnavailableError

from .commands import submit, wait_for_end
from .courses import COURSES, Course
from .drill import Outcome, is_doubtful, recovery_of
from .effects import EFFECTS, Effect
from .invariants import check, left_behind, remote_objects
from .servers import LAG
from .stack import Stack
from .trace import Event, Plan

# Until a job is looked for again, created again, and done.
_RECOVERY = 150.0
#: Seconds between what may be forgotten and what went before.
APART = 0.5
# Until a server that was killed answers again.
_AWAY = 5.0
# Steps in which it is not known yet whether there is a job.
_BEFORE_THE_JOB = ("convert/", "upload/", "create/")


class Forget(NamedTuple):
    """The server forgets some seconds, right after an effect."""

    how: Literal["log", "replica"]
    seconds: float
    effect: Effect
    provider: str

    @property
    def fault(self) -> str:
        """What the table calls it."""
        if self.how == "replica":
            return f"a replica promoted, {self.seconds:.0f} s behind"
        return f"Redis restored from {self.seconds:g} s before"

    def __str__(self) -> str:
        return f"{self.fault}, after {self.effect.name}, {self.provider}"


def forget_drills(how: Literal["log", "replica"], *seconds: float) -> list[Forget]:
    """After each effect of a worker, on the courses on which the user does nothing that Redis could forget."""
    return [
        Forget(how, each, effect, provider)
        for effect in EFFECTS
        if effect.by == "worker" and COURSES[effect.course].during is None
        for provider in effect.providers
        for each in seconds
    ]


def log_drills() -> list[Forget]:
    """All that cut the log back: at each effect by one of two short times, where money is paid also by a minute."""
    short = forget_drills("log", 0.2, 1.0)
    long = [drill for drill in forget_drills("log", 60.0) if drill.effect.name == "create/client.create"]
    return [drill for number, drill in enumerate(short) if number % 4 in (0, 3)] + long


def replica_drills() -> list[Forget]:
    """All that promote a replica: at the calls of providers, and at the end of each step.

    What a replica lacks is what a log lacks that was cut back as far: at each effect by one of two times. What differs
    is the way to the other server, which is the same in all steps.
    """
    promoted = forget_drills("replica", LAG)
    return [drill for drill in promoted if re.search(r"/(client\.|store\.commit)", drill.effect.name)]


def run_forget(stack: Stack, drill: Forget) -> list[Outcome]:
    """See the module."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(drill.provider)
    stack.store.name()
    time.sleep(drill.seconds + APART)  # what went before this drill is not forgotten, nor which store this is
    plan = Plan(id=batch_id, when="after", effect=drill.effect.name, batch=batch_id, do="wait")
    with stack.planned(plan):
        disaster = threading.Thread(target=_forget, args=(stack, plan, drill.seconds, course.deadline + 60))
        disaster.start()
        _submit(stack, course, drill.provider, batch_id)
        disaster.join()
        wait_for_end(stack, batch_id, course.deadline + _RECOVERY)
    findings = check(stack, batch_id, course).plus(*left_behind(stack, there, [batch_id]))
    fired = stack.fired(plan)
    outcome = Outcome(drill.fault, str(drill), findings.struck(fired))
    return [_timed(outcome, fired, stack, batch_id) if fired else outcome]


def _submit(stack: Stack, course: Course, provider: str, batch_id: str) -> None:
    """A submission that is refused, as the server is just away, is sent again."""
    try:
        submit(stack, course, provider, batch_id)
    except StoreUnavailableError:
        time.sleep(_AWAY)
        if stack.store.get_batch(batch_id) is None:
            submit(stack, course, provider, batch_id)


def _forget(stack: Stack, plan: Plan, seconds: float, patience: float) -> None:
    deadline = time.monotonic() + patience
    while stack.fired(plan) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if stack.fired(plan) is not None:
        stack.server.forget(seconds)
        stack.let_go(plan)


def _timed(outcome: Outcome, fired: Event, stack: Stack, batch_id: str) -> Outcome:
    """With the time until another claim; of an item that may have a job, until that job is known."""
    events = stack.events()
    doubtful = is_doubtful(fired, events) or fired.effect.startswith(_BEFORE_THE_JOB)
    recovery = recovery_of(fired, events, batch_id, "poll/store.claim" if doubtful else "/store.claim")
    return outcome._replace(recovery_s=recovery, doubtful=doubtful)
