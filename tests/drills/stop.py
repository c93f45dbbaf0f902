"""A worker is stopped at an effect, another one takes its item over, and then the first one wakes.

It takes back what it did too late. If it is killed at that, no other process knows of it: the one case in which the
operator has to cancel a job, which `doctor --orphans` lists.
"""

import signal
import time

from .bill import paid_twice
from .commands import ask, submit, wait_for_end
from .courses import COURSES, Course
from .drill import Drill, Outcome, drills, recovered
from .invariants import check, left_behind, remote_objects
from .nursery import send
from .stack import DAY, Stack
from .trace import Event, Plan

# A run of vLLM's is not taken over while its worker holds the rows: then it wakes before the batch ends.
_LONGEST = 40.0
#: A worker that wakes may look at its item for two leases.
SETTLE = 40.0


def stop_drills() -> list[Drill]:
    """For workers."""
    return drills("stop", "worker")


#: Where a worker must have been stopped, to have something to take back when it wakes.
_STOPPED_AT = {
    "create/write job": "create/store.commit",
    "journal/delete job": "create/store.commit",
    "journal/client.cancel": "create/store.commit",
    "upload/client.delete_upload": "upload/store.commit",
    "lost/store.let_go": "poll/client.get",
}


def undo_drills() -> list[Drill]:
    """For workers that take something back."""
    return drills("kill", "undo")


def stop_and_overtake(stack: Stack, course: Course, provider: str, plan: Plan) -> Event | None:
    """Have a worker of a new batch stopped, and another one end the batch; returns where the first one sleeps."""
    submit(stack, course, provider, plan.batch)
    patience = course.deadline + _LONGEST
    wait_for_end(stack, plan.batch, patience, until=lambda: stack.fired(plan) is not None)
    wait_for_end(stack, plan.batch, patience)
    return stack.fired(plan)


def wake(stack: Stack, fired: Event | None) -> None:
    """Let the worker go on, if there is one, and wait until its task has ended, or its thread gone on."""
    if fired is None:
        return
    woken, deadline = time.time(), time.monotonic() + SETTLE
    send(fired.worker, signal.SIGCONT)
    threads = fired.effect.startswith(("sweep/", "lease-keeper/", "job-watch/"))
    while time.monotonic() < deadline:
        since = [event for event in stack.events() if event.worker == fired.worker and event.at > woken]
        if any(threads or (event.when, event.item) == ("end", fired.item) for event in since):
            return
        time.sleep(0.2)


def run_undo(stack: Stack, drill: Drill) -> list[Outcome]:
    """Stopped, overtaken, woken, and killed while it takes back what it did meanwhile."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(drill.provider)
    late = _STOPPED_AT[drill.effect.name]
    stop = Plan(id=batch_id, when="before", effect=late, batch=batch_id, do="stop")
    kill = Plan(id=f"{batch_id}-undo", when=drill.when, effect=drill.effect.name, batch=batch_id, do="kill")
    with stack.planned(stop):
        fired = stop_and_overtake(stack, course, drill.provider, stop)
    deadline = time.monotonic() + SETTLE
    with stack.planned(kill):
        if fired is not None:
            send(fired.worker, signal.SIGCONT)
        while stack.fired(kill) is None and time.monotonic() < deadline:
            time.sleep(0.2)
    while any((stack.home / "journal").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.2)
    stack.turn(DAY)
    wait_for_end(stack, batch_id, course.deadline)
    findings = check(stack, batch_id, course)
    while findings.created_twice and time.monotonic() < deadline:  # Anthropic tells whose a job is once it has ended
        named = ask(stack, "orphans", {"provider": drill.provider}).split()
        findings = findings._replace(
            created_twice=findings.created_twice - len(named),
            paid_twice=paid_twice(stack, batch_id, named),
            undone=findings.undone + len(named),
        )
        time.sleep(0.2)
    if drill.effect.name != "upload/client.delete_upload":  # a file of no job costs nothing, and goes by itself
        findings = findings.plus(*left_behind(stack, there, [batch_id]))
    return [Outcome(drill.fault, str(drill), findings.struck(stack.fired(kill)))]


def run_stop(stack: Stack, drill: Drill) -> list[Outcome]:
    """See the module; between the lease's check and the POST is the one place where a shard may end parked."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(drill.provider)
    plan = Plan(id=batch_id, when=drill.when, effect=drill.effect.name, batch=batch_id, do="stop")
    with stack.planned(plan):
        fired = stop_and_overtake(stack, course, drill.provider, plan)
        wake(stack, fired)
        wait_for_end(stack, batch_id, course.deadline + _LONGEST)
    findings = check(stack, batch_id, course).plus(*left_behind(stack, there, [batch_id])).struck(fired)
    may_park = (drill.effect.name, drill.when) == ("create/client.create", "before")
    outcome = Outcome(drill.fault, str(drill), findings, may_park=may_park)
    return [recovered(outcome, fired, stack, batch_id)]
