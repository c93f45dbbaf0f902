"""A Redis that forgets what an app or an operator has just said: at each of their effects, and after the answer.

A submission that was answered is there in the end; one that was not is whole or absent. Another command may be undone:
it is given again. Nothing is lost, nothing is paid twice.
"""

import time
from typing import NamedTuple

from batch_router.intake.options import Options

from .commands import about, ask, conclude, given, held, is_gone, make_ready, retry_of, wait_for_end
from .courses import COURSES, arguments_of
from .drill import Outcome
from .effects import EFFECTS, Effect
from .forgetting import APART
from .invariants import Findings, left_behind, remote_objects
from .stack import DAY, Stack
from .trace import Plan

# Seconds after which a submission that was marked, and forgotten, is found again.
_FOUND_AGAIN = 30.0


class Unsaid(NamedTuple):
    """The server forgets some seconds, right after an effect of a command, or after its answer."""

    seconds: float
    effect: Effect
    answered: bool = False

    @property
    def command(self) -> str:
        """Whose effect it is."""
        return self.effect.name.partition("/")[0]

    @property
    def fault(self) -> str:
        """What the table calls it."""
        return f"{self.command.partition(' ')[0]} forgotten by Redis"

    def __str__(self) -> str:
        where = f"the answer to {self.command}" if self.answered else self.effect.name
        return f"{self.seconds:g} s forgotten after {where}"


def unsaid_drills() -> list[Unsaid]:
    """By both short times, after each effect, and after the answer, with which the last effect is long over."""
    effects = [effect for effect in EFFECTS if effect.by in ("caller", "operator") and effect.course != "sent again"]
    last = {effect.name.partition("/")[0]: effect for effect in effects}
    at_effects = [Unsaid(seconds, effect) for effect in effects for seconds in (0.2, 1.0)]
    return at_effects + [Unsaid(seconds, effect, answered=True) for effect in last.values() for seconds in (0.2, 1.0)]


def run_unsaid(stack: Stack, drill: Unsaid) -> list[Outcome]:
    """See the module."""
    course, command = COURSES[drill.effect.course], drill.command
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = Options(idempotency_key=str(drill)).choose_id() if command == "submit" else stack.new_id("openai")
    findings = Findings()
    if command == "submit":
        more = {"provider": "openai", "idempotency_key": str(drill)}
        arguments = arguments_of(stack, course, "openai", batch_id) | more
    else:
        findings = make_ready(stack, command, course, "openai", batch_id)
        arguments = given(stack, command, batch_id)
    if command == "retry":
        stack.turn(DAY)  # the row is answered this time: paid once
    heard = _say_and_forget(stack, drill, batch_id, arguments)
    if command != "submit":
        ask(stack, command, arguments)
    elif heard != batch_id:  # it was not promised
        wait_for_end(stack, batch_id, _FOUND_AGAIN, until=lambda: not is_gone(stack, batch_id))
    if command != "submit" or heard == batch_id or not is_gone(stack, batch_id):
        findings = findings.also(conclude(stack, command, course, batch_id))
    if course.orphans:
        ask(stack, "orphans", {"provider": "openai"})
    findings = findings.plus(*left_behind(stack, there, [batch_id, retry_of(batch_id)]))
    return [Outcome(drill.fault, str(drill), findings)]


def _say_and_forget(stack: Stack, drill: Unsaid, batch_id: str, arguments: dict[str, object]) -> str:
    """The command is said, once, and the server forgets meanwhile; returns what its caller heard."""
    stack.store.name()
    time.sleep(drill.seconds + APART)  # what went before this is not forgotten
    effect = drill.effect.name
    plan = Plan(id=batch_id, when="after", effect=effect, batch=about(effect, batch_id), do="wait")
    plans = () if drill.answered else (plan,)
    with stack.planned(*plans), held(stack, plan, drill.command, arguments) as heard:
        stack.server.forget(drill.seconds)
    reached = drill.answered or stack.fired(plan) is not None
    assert reached, f"the effect was never reached: {drill}"
    return heard.read_text() if heard.exists() else ""
