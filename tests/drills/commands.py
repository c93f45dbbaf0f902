"""What an operator, or an app, says from outside the fleet, and what must be true afterwards."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from batch_router.exceptions import StoreUnavailableError
from batch_router.state.base import Hint
from batch_router.state.table import State

from .courses import Course, arguments_of
from .invariants import Findings, check, what_is_kept
from .nursery import is_alive
from .stack import Stack
from .trace import Plan

#: An operator's decisions about a parked shard.
RESOLVES = ("resolve --attach", "resolve --recreate", "resolve --give-up")
#: What is said of a batch that has ended.
_OF_ENDED = ("purge", "retry", "resume")
#: Seconds: a lease, a grace, a restart, and a busy machine.
RECOVERY = 90.0
_MOST_ATTEMPTS = 5


def submit(stack: Stack, course: Course, provider: str, batch_id: str) -> None:
    """A batch enters, with or without its first message, and the user does what the course says."""
    arguments = arguments_of(stack, course, provider, batch_id)
    if course.linked:
        told = {"provider": provider, "batch_id": batch_id, "webhook": stack.receiver.url}
        ask(stack, "submit linked", arguments | told)
    else:
        stack.client.submit(provider, batch_id=batch_id, **arguments)
        if not course.silent:
            stack.send(Hint(batch_id, 1, State.QUEUED, provider))
    if course.during is not None:
        course.during(stack, batch_id)


def begin(stack: Stack, what: str, arguments: dict[str, Any]) -> tuple[int, Path]:
    """Start a process outside the fleet that asks; returns its group, and the file that gets what it hears."""
    heard = stack.folder / stack.new_id("heard")
    given = [what, json.dumps(arguments), str(heard)]
    return stack.nursery.start("tests.drills.caller", given, stack.home / "caller.log"), heard


def ask(stack: Stack, what: str, arguments: dict[str, Any], times: int = 1) -> str:
    """A process outside the fleet asks, dies, and asks the same again, until it got an answer: which is returned."""
    for attempt in range(_MOST_ATTEMPTS):
        caller, heard = begin(stack, what, arguments)
        while is_alive(caller):
            time.sleep(0.1)
        if heard.exists() and attempt + 1 >= times:
            return heard.read_text()
    return ""


@contextmanager
def held(stack: Stack, plan: Plan, what: str, arguments: dict[str, Any]) -> Iterator[Path]:
    """A process outside the fleet asks, and waits during the block where the plan says; gives the file as `begin` does.

    If it does not come there, it has ended before the block.
    """
    caller, heard = begin(stack, what, arguments)
    while stack.fired(plan) is None and is_alive(caller):
        time.sleep(0.01)
    yield heard
    stack.let_go(plan)
    while is_alive(caller):
        time.sleep(0.05)


def given(stack: Stack, command: str, batch_id: str) -> dict[str, Any]:
    """What an operator's command is given about a batch."""
    what, _, how = command.partition(" --")
    if what == "rebuild":
        return {}
    if what != "resolve":
        return {"batch_id": batch_id}
    batch = stack.store.get_batch(batch_id)
    jobs = [shard.job.id for shard in stack.store.get_shards(batch) if shard.job] if batch else []
    return {"item_id": batch_id, how.replace("-", "_"): "".join(jobs) if how == "attach" else True}


def make_ready(stack: Stack, command: str, course: Course, provider: str, batch_id: str) -> Findings:
    """Have a batch of which the command can be said."""
    submit(stack, course, provider, batch_id)
    if command not in _OF_ENDED:
        return Findings()
    wait_for_end(stack, batch_id, course.deadline + RECOVERY)
    return check(stack, batch_id, course) if command != "resume" else Findings()


def conclude(stack: Stack, command: str, course: Course, batch_id: str) -> Findings:
    """What must be true once the command has been answered."""
    if command == "purge":
        return Findings(problems=tuple(what_is_kept(stack, batch_id)))
    told_of = retry_of(batch_id) if command == "retry" else batch_id
    wait_for_end(stack, told_of, course.deadline + RECOVERY)
    if command == "retry":
        retried = stack.store.get_batch(told_of)
        return Findings() if retried and retried.state.is_final else Findings(problems=("the rows did not go again",))
    return check(stack, batch_id, course)


def retry_of(batch_id: str) -> str:
    """The batch that `retry` makes."""
    return f"{batch_id}-retry"


def about(effect: str, batch_id: str) -> str:
    """The batch that an effect of a command belongs to: `retry` reads one, and makes another."""
    is_new = effect.startswith("retry/") and effect != "retry/store.decide"
    return retry_of(batch_id) if is_new else batch_id


def is_gone(stack: Stack, batch_id: str) -> bool:
    """Whether the store does not know the batch."""
    return stack.store.get_batch(batch_id) is None


def wait_for_end(stack: Stack, batch_id: str, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Wait until the batch has ended and its app knows, or something else is so; at most some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        with suppress(StoreUnavailableError):  # that may be the drill
            batch = stack.store.get_batch(batch_id)
            if batch is not None and all(each.state.is_final for each in (batch, *stack.store.get_notices(batch))):
                return
        time.sleep(0.2)
