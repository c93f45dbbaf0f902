"""Operator's commands against each other: one waits between what it read and what it changes, while another one runs.

Every pair has a stated outcome: each command says that it did its part, or why not; of two decisions about a parked
shard one is taken at most; a batch that is known has ended with its books in balance; and a batch that is not known has
left nothing.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from batch_router.simulator import Scenario
from batch_router.simulator.scenario import Latency, Refusal

from .bill import paid_twice
from .commands import RESOLVES, about, ask, given, held, is_gone, retry_of, submit, wait_for_end
from .courses import COURSES, Course, arguments_of
from .drill import Outcome
from .invariants import Findings, check, left_behind, remote_objects, what_is_kept
from .stack import Stack
from .trace import Plan

_REFUSED = Refusal(match="number 4", status=400, type="invalid_request_error")
#: One row is errored, so that there is something to send again.
_COURSE = Course(
    day=Scenario(latency=Latency(in_progress=1), refuse=(_REFUSED,)),
    statuses=frozenset({"succeeded", "errored", "cancelled"}),
    deadline=90,
)
#: Where each command waits: its last look at the batch lies behind it, and what it changes before it.
_WAITS: Mapping[str, str] = MappingProxyType(
    {
        "cancel": "cancel/store.cancel",
        "purge": "purge/delete folder",
        "retry": "retry/store.create",
        "resume": "resume/store.reopen",
        "submit": "submit/store.create",
        **{command: f"{command}/store.decide" for command in RESOLVES},
    }
)


class Pair(NamedTuple):
    """One command waits while another one runs, on a batch that runs, has ended, or is parked."""

    first: str
    second: str
    state: Literal["runs", "has ended", "is parked"]

    @property
    def fault(self) -> str:
        """What the table calls it."""
        return f"{self.first} struck by another command"

    def __str__(self) -> str:
        return f"{self.first} struck by {self.second}, on a batch that {self.state}"

    @property
    def course(self) -> Course:
        """The way of the batch; who gives a job up, or creates another one, has cancelled it at the provider."""
        if self.state != "is parked":
            return _COURSE
        course = COURSES["parked" if {self.first, self.second}.isdisjoint(RESOLVES[1:]) else "parked for good"]
        return course._replace(statuses=_COURSE.statuses)


PAIRS = tuple(
    Pair(first, second, state)
    for state in ("has ended", "runs", "is parked")
    for first in _WAITS
    for second in _WAITS
    if (state == "is parked") == (not {first, second}.isdisjoint(RESOLVES))
)


def run_pair(stack: Stack, pair: Pair) -> list[Outcome]:
    """See the module."""
    course = pair.course
    stack.turn(course.day)
    there = remote_objects(stack)
    batch_id = stack.new_id("openai")
    submit(stack, course, "openai", batch_id)
    if pair.state == "has ended":
        wait_for_end(stack, batch_id, course.deadline)
    other = retry_of(batch_id)
    effect = _WAITS[pair.first]
    plan = Plan(id=batch_id, when="before", effect=effect, batch=about(effect, batch_id), do="wait")
    first, second = (_given(stack, command, batch_id, course) for command in (pair.first, pair.second))
    with stack.planned(plan), held(stack, plan, pair.first, first) as heard:
        said = ask(stack, pair.second, second)
    problems = [] if said else [f"{pair.second} said nothing"]
    problems += [] if heard.exists() else [f"{pair.first} said nothing"]
    if said.startswith("resolve") and heard.exists() and heard.read_text().startswith("resolve"):
        problems.append("two decisions about one shard were taken")
    findings = Findings(problems=tuple(problems))
    for each in (batch_id, other):
        wait_for_end(stack, each, course.deadline, until=partial(is_gone, stack, each))
        findings = findings.also(_found(stack, each, batch_id, pair))
    if course.orphans:
        ask(stack, "orphans", {"provider": "openai"})
    return [Outcome(pair.fault, str(pair), findings.plus(*left_behind(stack, there, [batch_id, other])))]


def _given(stack: Stack, command: str, batch_id: str, course: Course) -> dict[str, Any]:
    if command == "submit":
        return arguments_of(stack, course, "openai", batch_id) | {"provider": "openai", "batch_id": batch_id}
    return given(stack, command, batch_id)


def _found(stack: Stack, batch_id: str, first: str, pair: Pair) -> Findings:
    """What is wrong with one of both batches."""
    batch = stack.store.get_batch(batch_id)
    if batch is None:
        return Findings(problems=tuple(what_is_kept(stack, batch_id)))
    if batch_id != first:  # the rows that had no answer
        return Findings() if batch.state.is_final else Findings(problems=(f"{batch_id} has not ended",))
    found = check(stack, batch_id, pair.course._replace(state=batch.state.value))
    again = {"purge", "submit"} <= {pair.first, pair.second}  # the user sends the rows again, and pays again
    return found._replace(paid_twice=0 if again else paid_twice(stack, batch_id, ()))
