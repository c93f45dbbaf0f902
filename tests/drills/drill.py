"""One drill: a plan, a batch that runs into it, and what is found when all is over."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from batch_router.intake.options import Options
from batch_router.state.items import batch_id_of

from .commands import about, ask, conclude, given, make_ready, retry_of, submit
from .courses import COURSES, arguments_of
from .effects import EFFECTS, Effect
from .invariants import Findings, left_behind, remote_objects
from .stack import Stack
from .trace import Event, Plan

_INTENT = "create/store.reserve intent account booked"
_DECIDED = ("create/store.commit", "create/store.renew no intent booked")


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
    command = drill.effect.name.partition("/")[0]
    effect = drill.effect.name
    plan = Plan(id=batch_id, when=drill.when, effect=effect, batch=about(effect, batch_id), do="kill")
    with stack.planned(plan):
        if by_key:
            arguments = {"provider": drill.provider, "idempotency_key": str(drill)}
            given_rows = arguments_of(stack, course, drill.provider, batch_id) | arguments
            ask(stack, "submit", given_rows, course.submissions)
            findings = conclude(stack, "submit", course, batch_id)
        elif drill.effect.by == "operator":
            findings = make_ready(stack, command, course, drill.provider, batch_id)
            ask(stack, command, given(stack, command, batch_id))
            findings = findings.also(conclude(stack, command, course, batch_id))
        else:
            submit(stack, course, drill.provider, batch_id)
            findings = conclude(stack, "submit", course, batch_id)
        if course.orphans:
            ask(stack, "orphans", {"provider": drill.provider})
        findings = findings.plus(*left_behind(stack, there, [batch_id, retry_of(batch_id)]))
    fired = stack.fired(plan)
    return [recovered(Outcome(drill.fault, str(drill), findings.struck(fired)), fired, stack, batch_id)]


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
