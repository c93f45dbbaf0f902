"""One drill: a plan, a batch that runs into it, and what is found when all is over."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from batch_router.exceptions import StoreUnavailableError
from batch_router.intake.options import Options
from batch_router.state.base import Hint
from batch_router.state.items import batch_id_of
from batch_router.state.table import State

from .courses import COURSES, Course, arguments_of
from .effects import EFFECTS, Effect
from .invariants import Findings, check, left_behind, remote_objects, what_is_kept
from .nursery import is_alive
from .stack import Stack
from .trace import Event, Plan

#: A lease, a grace, a restart, and a busy machine.
_RECOVERY = 90.0
_MOST_ATTEMPTS = 5
_INTENT = "create/store.renew intent account"
_DECIDED = ("create/store.commit", "create/store.renew no intent")


class Drill(NamedTuple):
    """A strike at an effect."""

    do: Literal["kill", "stop"]
    when: Literal["before", "after"]
    effect: Effect
    provider: str

    @property
    def fault(self) -> str:
        """What the table calls it."""
        return f"{self.do} at {self.effect.name}"

    def __str__(self) -> str:
        return f"{self.do} {self.when} {self.effect.name}, {self.provider}"


class Outcome(NamedTuple):
    """How a drill ended.

    Attributes:
        recovery_s: None where nothing was left to do.
        doubtful: whether it had to be found out first whether there is a job.
        may_park: whether the drill asks for parking.
    """

    fault: str
    name: str
    findings: Findings
    recovery_s: float | None = None
    runs: int = 1
    doubtful: bool = False
    may_park: bool = False


def drills(do: Literal["kill", "stop"], *by: str) -> list[Drill]:
    """Before and after each effect that one of these has."""
    return [
        Drill(do, when, effect, provider)
        for effect in EFFECTS
        if effect.by in by
        for provider in effect.providers
        for when in ("before", "after")
    ]


def kill_drills() -> list[Drill]:
    """For a process that can be killed right there."""
    return drills("kill", "worker", "caller", "operator")


def run_kill(stack: Stack, drill: Drill) -> list[Outcome]:
    """The process that has the effect is killed at it, with its whole group."""
    course = COURSES[drill.effect.course]
    stack.turn(course.day)
    there = remote_objects(stack)
    by_key = drill.effect.by == "caller"
    batch_id = Options(idempotency_key=str(drill)).choose_id() if by_key else stack.new_id(drill.provider)
    command = drill.effect.name.partition("/")[0] if drill.effect.by == "operator" else None
    retry = retry_of(batch_id) if command == "retry" else batch_id
    struck = batch_id if drill.effect.name.endswith("/store.decide") else retry
    plan = Plan(id=batch_id, when=drill.when, effect=drill.effect.name, batch=struck, do="kill")
    with stack.planned(plan):
        if by_key:
            arguments = {"provider": drill.provider, "idempotency_key": str(drill)}
            given = arguments_of(stack, course, drill.provider, batch_id) | arguments
            ask(stack, "submit", given, course.submissions)
        else:
            submit(stack, course, drill.provider, batch_id)
        if command == "cancel":
            ask(stack, command, {"batch_id": batch_id})
        wait_for_end(stack, batch_id, course.deadline + _RECOVERY)
        findings = check(stack, batch_id, course)
        if command in ("purge", "retry", "resume"):
            ask(stack, command, {"batch_id": batch_id})
        if command == "resume":
            wait_for_end(stack, batch_id, course.deadline + _RECOVERY)
            findings = check(stack, batch_id, course)
        if command == "purge":
            findings = findings.plus(*what_is_kept(stack, batch_id))
        if command == "retry":
            wait_for_end(stack, retry, course.deadline + _RECOVERY)
            retried = stack.store.get_batch(retry)
            findings = findings.plus(*([] if retried and retried.state.is_final else ["the rows did not go again"]))
        findings = findings.plus(*left_behind(stack, there, [batch_id, retry]))
    fired = stack.fired(plan)
    if fired is None:
        findings = findings.plus("the effect was never reached")
    return [recovered(Outcome(drill.fault, str(drill), findings), fired, stack, batch_id)]


def retry_of(batch_id: str) -> str:
    """The batch that `retry` makes."""
    return f"{batch_id}-retry"


def submit(stack: Stack, course: Course, provider: str, batch_id: str) -> None:
    """A batch enters, with or without its first message, and the user does what the course says."""
    stack.client.submit(provider, batch_id=batch_id, **arguments_of(stack, course, provider, batch_id))
    if not course.silent:
        stack.send(Hint(batch_id, 1, State.QUEUED, provider))
    if course.during is not None:
        course.during(stack, batch_id)


def ask(stack: Stack, what: str, arguments: dict[str, Any], times: int = 1) -> str:
    """A process outside the fleet asks, dies, and asks the same again, until it got an answer; returns how often."""
    for attempt in range(_MOST_ATTEMPTS):
        heard = stack.folder / f"{stack.new_id('heard')}"
        given = [what, json.dumps(arguments), str(heard)]
        caller = stack.nursery.start("tests.drills.caller", given, stack.home / "caller.log")
        while is_alive(caller):
            time.sleep(0.1)
        if heard.exists() and attempt + 1 >= times:
            return heard.read_text()
    return ""


def wait_for_end(stack: Stack, batch_id: str, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Wait until the batch has ended, or something else is so; at most some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        with suppress(StoreUnavailableError):  # that may be the drill
            batch = stack.store.get_batch(batch_id)
            if batch is not None and batch.state.is_final:
                return
        time.sleep(0.2)


def recovered(outcome: Outcome, fired: Event | None, stack: Stack, batch_id: str) -> Outcome:
    """The outcome with the time that it took; of an item in doubt, until its job is known."""
    if fired is None:
        return outcome
    events = stack.events()
    doubtful = is_doubtful(fired, events)
    recovery = recovery_of(fired, events, batch_id, "poll/store.claim" if doubtful else "/store.claim")
    return outcome._replace(recovery_s=recovery, doubtful=doubtful)


def is_doubtful(fired: Event, events: Sequence[Event]) -> bool:
    """Whether the item that was struck had an intent, and no job that the store knows."""
    intent = False
    for event in events:
        if event.item == fired.item and event.at <= fired.at and event.when == "after":
            intent = (intent or event.effect == _INTENT) and event.effect not in _DECIDED
    return intent


def recovery_of(fired: Event, events: Sequence[Event], batch_id: str, until: str = "/store.claim") -> float | None:
    """Seconds until a worker claimed the item that was struck, or one that it led to; None if none had to."""
    for event in events:
        if event.at > fired.at and event.when == "after" and event.effect.endswith(until):
            known = batch_id_of(event.item) if fired.item in ("", batch_id) else event.item
            if known == (fired.item or batch_id):
                return event.at - fired.at
    return None
