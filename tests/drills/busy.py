"""Random kills while something else is wrong: refusals, gateways, cancels, time-outs, rows that go again.

Each load is one batch after another of one provider, and each batch takes another course; the seed says which.
"""

import random
import threading
from functools import partial

from batch_router.simulator import Scenario
from batch_router.simulator.scenario import Fault, Latency, Refusal

from .bill import paid_twice
from .commands import submit, wait_for_end
from .courses import CREATE, GET_JOB, UPLOAD, Course
from .drill import Outcome
from .invariants import Findings, check, left_behind, remote_objects
from .stack import Stack
from .storm import PROVIDERS, Share, kill_under_load, outcomes_of

FAULT = "kill at random while all else is wrong"
_LAST_WAIT = 300.0
# Every so many calls one goes wrong, for as long as a drill may last.
_EVERY, _TIMES = 7, 200
_REFUSED = Refusal(match="number 4", status=500, type="server_error")
_UNHAPPY = frozenset({"succeeded", "errored", "cancelled", "expired"})


def _again_and_again(match: str, do: str, first: int, **more: object) -> tuple[Fault, ...]:
    calls = range(first, first + _EVERY * _TIMES, _EVERY)
    return tuple(Fault(match=match, do=do, after=after, **more) for after in calls)  # type: ignore[arg-type]


DAY = Scenario(
    latency=Latency(in_progress=2),
    refuse=(_REFUSED,),
    faults=(
        *_again_and_again(CREATE, "status", 1, status=429, retry_after="1"),
        *_again_and_again(CREATE, "status_after", 4, status=502),
        *_again_and_again(UPLOAD, "status", 2, status=503),
        *_again_and_again(GET_JOB, "status", 3, status=429, retry_after="1"),
        *_again_and_again(GET_JOB, "html", 5),
    ),
)
_ERRORED = {"succeeded": 7, "errored": 1}


def _cancel(stack: Stack, batch_id: str) -> None:
    stack.client.cancel(batch_id)


#: What happens to a batch; vLLM refuses no row.
COURSES = (
    Course(day=DAY, statuses=_UNHAPPY, counts=_ERRORED, options={"row_retries": 2}),
    Course(day=DAY, statuses=_UNHAPPY, counts=_ERRORED),
    Course(day=DAY, statuses=_UNHAPPY, during=_cancel, state="cancelled"),
    Course(day=DAY, statuses=_UNHAPPY, options={"timeout": 1.0}, state="expired"),
)


def run_busy(stack: Stack, share: Share) -> list[Outcome]:
    """One outcome a kill, for its recovery, and one a batch, for what was found of it."""
    stack.turn(DAY)
    there = remote_objects(stack)
    taken: dict[str, Course] = {}
    loads = [
        partial(_load, stack, provider, random.Random(f"{share.seed}:{provider}"), taken) for provider in PROVIDERS
    ]
    struck = kill_under_load(stack.fleet, share, loads)
    outcomes = outcomes_of(FAULT, share, struck, stack)
    found = [(batch_id, _check(stack, batch_id, course)) for batch_id, course in taken.items()]
    found.append(("all", Findings(problems=tuple(left_behind(stack, there, taken)))))
    return outcomes + [Outcome(FAULT, batch_id, findings, runs=0) for batch_id, findings in found]


def _load(stack: Stack, provider: str, chance: random.Random, taken: dict[str, Course], over: threading.Event) -> None:
    while not over.is_set():
        course = chance.choice(COURSES)
        if provider == "vllm":
            course = course._replace(counts=None)
        batch_id = stack.new_id(provider)
        taken[batch_id] = course
        submit(stack, course, provider, batch_id)
        wait_for_end(stack, batch_id, _LAST_WAIT)


def _check(stack: Stack, batch_id: str, course: Course) -> Findings:
    """A cancel or a time-out may come after the end of a batch, or before a worker has read its rows."""
    batch = stack.store.get_batch(batch_id)
    if course.state == "expired" and batch is not None and batch.state.value == "failed" and batch.rows is None:
        return Findings(paid_twice=paid_twice(stack, batch_id, ()))
    if batch is not None and batch.state.value == "completed" and course.state in ("cancelled", "expired"):
        course = course._replace(state="completed")
    return check(stack, batch_id, course)
