"""A worker is stopped at an effect, another one takes its item over, and then the first one wakes."""

import signal
import time

from .courses import COURSES
from .drill import Drill, Outcome, recovery_of, submit, wait_for_end
from .effects import EFFECTS
from .invariants import check, left_behind, remote_objects
from .nursery import send
from .stack import Stack
from .trace import Event, Plan

# A run of vLLM's is not taken over while its worker holds the rows: then it wakes before the batch ends.
_LONGEST = 40.0
# Who wakes may look for two leases what became of its item.
_SETTLE = 40.0


def stop_drills() -> list[Drill]:
    """Before and after each effect of a worker."""
    return [
        Drill("stop", when, effect, provider)
        for effect in EFFECTS
        if effect.by == "worker"
        for provider in effect.providers
        for when in ("before", "after")
    ]


def run_stop(stack: Stack, drill: Drill) -> list[Outcome]:
    """See the module; between the lease's check and the POST is the one place where a shard may end parked."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id(drill.provider)
    plan = Plan(id=batch_id, when=drill.when, effect=drill.effect.name, batch=batch_id, do="stop")
    with stack.planned(plan):
        submit(stack, course, drill.provider, batch_id)
        patience = course.deadline + _LONGEST
        wait_for_end(stack, batch_id, patience, until=lambda: stack.fired(plan) is not None)
        fired = stack.fired(plan)
        if fired is not None:
            wait_for_end(stack, batch_id, patience)
            woken = time.time()
            send(fired.worker, signal.SIGCONT)
            _settle(stack, fired, woken)
        wait_for_end(stack, batch_id, patience)
    may_park = (drill.effect.name, drill.when) == ("create/client.create", "before")
    findings = check(stack, batch_id, course, may_park=may_park).plus(*left_behind(stack, there, [batch_id]))
    if fired is None:
        return [Outcome(drill.fault, str(drill), findings.plus("the effect was never reached"))]
    recovery = recovery_of(fired, stack.events(), batch_id)
    return [Outcome(drill.fault, str(drill), findings, recovery)]


def _settle(stack: Stack, fired: Event, woken: float) -> None:
    """Wait until the task that was stopped has ended, or the thread gone on."""
    threads = fired.effect.startswith(("sweep/", "lease-keeper/", "cancel-listener/"))
    deadline = time.monotonic() + _SETTLE
    while time.monotonic() < deadline:
        since = [event for event in stack.events() if event.worker == fired.worker and event.at > woken]
        if any(threads or (event.when, event.item) == ("end", fired.item) for event in since):
            return
        time.sleep(0.2)
