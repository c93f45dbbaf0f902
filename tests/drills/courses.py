"""The ways that a batch can take, so that each effect of the road is reached on one of them."""

import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import redis

from batch_router.settings import Settings
from batch_router.simulator import Scenario
from batch_router.simulator.oddities import Listing
from batch_router.simulator.scenario import Fault, Latency, Refusal
from batch_router.state.items import Batch, Shard
from batch_router.state.table import State

from . import parking
from .stack import DAY, HTTP_TIMEOUT, PROMPT, UNATTENDED, UNSERVED, VISIBILITY, Stack

_NEVER = Latency(in_progress=600)
#: What eight rows make, with three rows a shard: shards of two sizes.
SHARDS = 3
#: The calls that create a job, send rows, and look at a job, at each provider.
CREATE = r"POST /(batches|v1/messages/batches|v1beta/models/[^/]+:batchGenerateContent)"
UPLOAD = r"POST /(files|upload/v1beta/files)"
GET_JOB = r"GET /(batches/[^/]+|v1/messages/batches/[^/]+|v1beta/batches/[^/]+)"


class Course(NamedTuple):
    """One way.

    Attributes:
        day: how the providers behave.
        options: of the submission.
        statuses: of results that may come out.
        counts: how many of each, where that is known.
        state: the batch's end.
        during: what the user does meanwhile.
        broken: whether the input has a bad row.
        silent: whether the first message is lost.
        rows: how many.
        orphans: whether it leaves a job that nothing owns, for `doctor --orphans` to name.
        submissions: how often an app submits it, with the same key.
        linked: whether an app submits it, with tasks that are sent to it at the end, and a webhook.
        deadline: seconds, without the time it takes to recover.
    """

    day: Scenario = DAY
    options: Mapping[str, Any] = MappingProxyType({"row_retries": 0})
    statuses: frozenset[str] = frozenset({"succeeded"})
    counts: Mapping[str, int] | None = None
    state: str = "completed"
    during: Callable[[Stack, str], object] | None = None
    broken: bool = False
    silent: bool = False
    rows: int = 8
    orphans: bool = False
    submissions: int = 1
    linked: bool = False
    deadline: float = 30


def _cancel(stack: Stack, batch_id: str) -> None:
    """Cancel once every shard has a job, or an engine runs."""
    _wait_for_jobs(stack, batch_id)
    stack.client.cancel(batch_id)


def _deploy(stack: Stack, batch_id: str) -> None:
    """Replace all workers, likewise."""
    _wait_for_jobs(stack, batch_id)
    stack.fleet.replace()


def _empty(stack: Stack, batch_id: str) -> None:
    """Lose all that Redis holds, likewise: state and messages."""
    _wait_for_jobs(stack, batch_id)
    with redis.Redis.from_url(stack.server.url) as server:
        server.flushall()


def _attend(stack: Stack, batch_id: str) -> None:
    """Have a worker join for the batch's queue once one told that there is none; it goes when the app knows the end."""

    def tells(batch: Batch) -> bool:
        return bool(batch.unattended)

    def has_told(batch: Batch) -> bool:
        return batch.state.is_final and all(notice.state.is_final for notice in stack.store.get_notices(batch))

    _wait_for(stack, batch_id, tells)
    with stack.fleet.joined_by(UNATTENDED):
        _wait_for(stack, batch_id, has_told)


def _wait_for(stack: Stack, batch_id: str, condition: Callable[[Batch], bool]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        batch = stack.store.get_batch(batch_id)
        if batch is not None and condition(batch):
            break
        time.sleep(0.1)


def _wait_for_jobs(stack: Stack, batch_id: str) -> None:
    def has_jobs(batch: Batch) -> bool:
        shards = stack.store.get_shards(batch)
        return bool(shards) and (all(shard.job for shard in shards) or any(map(_runs_here, shards)))

    _wait_for(stack, batch_id, has_jobs)


def _runs_here(shard: Shard) -> bool:
    return shard.provider == "vllm" and shard.state is State.CREATING and shard.claimed_by is not None


def _faults(match: str, do: Any, **more: Any) -> Scenario:
    return Scenario(latency=DAY.latency, faults=(Fault(match=match, do=do, **more),))


def _parked_for_good(**more: Any) -> Course:
    return Course(day=parking.STRANGE, rows=3, orphans=True, deadline=60, **more)


def _given_up(during: Callable[[Stack, str], object]) -> Course:
    return _parked_for_good(during=during, statuses=frozenset({"errored"}), state="failed", linked=True)


# The lease, connecting and sending, half a minute on the way, and the time until a job must be listed.
_LOOK_AGAIN = Settings().lease + 2 * HTTP_TIMEOUT + 30 + VISIBILITY
_UNHAPPY = frozenset({"succeeded", "cancelled", "expired"})

COURSES: dict[str, Course] = {
    "plain": Course(),
    # The first message never comes: the sweep sends one.
    "silent": Course(silent=True),
    # A worker dies, and another one begins.
    "restart": Course(during=lambda stack, _: stack.fleet.kill(0)),
    # Tasks of the app are sent at its end, and a webhook.
    "linked": Course(linked=True),
    # No worker has its queue, for a while.
    "unattended": Course(options={"model": UNSERVED}, linked=True, during=_attend),
    # Redis loses everything while the jobs run.
    "emptied": Course(day=Scenario(latency=Latency(in_progress=6)), during=_empty, deadline=90),
    # The app sends the same batch again: what it wrote the second time goes away.
    "sent again": Course(submissions=2),
    # A row is refused for a passing reason, again and again: two follow-up shards.
    "row retries": Course(
        day=Scenario(latency=DAY.latency, refuse=(Refusal(match="number 4", status=500, type="server_error"),)),
        options={"row_retries": 2},
        statuses=frozenset({"succeeded", "errored"}),
        counts={"succeeded": 7, "errored": 1},
    ),
    # A bad row that only `convert` looks at.
    "bad row": Course(broken=True, state="failed"),
    "cancel": Course(day=Scenario(latency=_NEVER), statuses=_UNHAPPY, state="cancelled", during=_cancel, deadline=60),
    "time-out": Course(
        day=Scenario(latency=_NEVER), options={"timeout": 4.0}, statuses=_UNHAPPY, state="expired", deadline=60
    ),
    # All workers are replaced while engines work: what they had answered is kept.
    "deploy": Course(day=Scenario(latency=Latency(in_progress=20)), during=_deploy, deadline=90),
    # An engine breaks down on every row of a shard: it is given up, and what it had of it is kept.
    "gives up": Course(
        day=Scenario(latency=DAY.latency, poison="number [345]"),
        statuses=frozenset({"succeeded", "errored"}),
        counts={"succeeded": 5, "errored": 3},
        deadline=120,
    ),
    # A run that is longer than the lease's renewal.
    "long": Course(day=Scenario(latency=Latency(in_progress=12)), deadline=60),
    # An answer that is never returned, and that the provider counts: fetched four times more.
    "cut short": Course(
        day=Scenario(latency=DAY.latency, drop="number 4"),
        statuses=frozenset({"succeeded", "errored"}),
        counts={"succeeded": 7, "errored": 1},
        deadline=60,
    ),
    # The upload fails once: `clean` looks for what it may have left.
    "upload again": Course(day=_faults(UPLOAD, "status", status=503)),
    # The provider asks to be left alone: all shards of the account are held back.
    "upload refused": Course(day=_faults(UPLOAD, "status", status=429, retry_after="1")),
    "poll refused": Course(day=_faults(GET_JOB, "status", status=429, retry_after="1")),
    # The same to create: the intent is taken back.
    "create refused": Course(day=_faults(CREATE, "status", status=429, retry_after="1")),
    # The answer to create is lost, once: the job is found.
    "create lost": Course(day=_faults(CREATE, "reset_after"), deadline=90),
    # A row is refused for good: an operator sends it again.
    "refused row": Course(
        day=Scenario(latency=DAY.latency, refuse=(Refusal(match="number 4"),)),
        statuses=frozenset({"succeeded", "errored"}),
        counts={"succeeded": 7, "errored": 1},
    ),
    # It is cancelled by a process outside the fleet.
    "cancelled by an operator": Course(day=Scenario(latency=_NEVER), statuses=_UNHAPPY, state="cancelled", deadline=60),
    # The provider hides the job of its one shard from the list, beyond its bound: another one is created.
    "create unseen": Course(day=Scenario(latency=_NEVER, odd=(Listing(lag=86_400),)), rows=3, deadline=60),
    # Its one shard is parked; its job has ended at the provider, with all answers or with none.
    "parked": Course(day=parking.STRANGE, rows=3, during=parking.park, deadline=60),
    "parked for good": _parked_for_good(during=parking.park_and_end),
    "to be given up": _given_up(parking.park_and_end),
    "given up": _given_up(parking.give_up),
    # Nothing arrived: two looks, the rows deleted, and another round.
    "create vanished": Course(day=_faults(CREATE, "reset_before"), deadline=60 + _LOOK_AGAIN),
}


def rows_of(course: Course, batch_id: str) -> list[dict[str, Any]]:
    """The rows of a batch; what each asks is asked by no other row of any batch, so that a bill names it."""
    rows = [{"custom_id": f"row {number}", "prompt": prompt_of(batch_id, number)} for number in range(course.rows)]
    return [*rows, {"custom_id": ""}] if course.broken else rows


def prompt_of(batch_id: str, number: int) -> str:
    """What a row asks."""
    return f"{PROMPT} of {batch_id} number {number}"


def arguments_of(stack: Stack, course: Course, provider: str, batch_id: str) -> dict[str, Any]:
    """What the batch is submitted with; a file where the rows are not to be looked at by the caller."""
    given = {"model": "claude-haiku-4-5" if provider == "anthropic" else "model-1", **course.options}
    given["generation_config"] = {"max_tokens": 9}
    if not course.broken:
        return given | {"requests": rows_of(course, batch_id)}
    path = stack.home / "broken.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(course, batch_id)))
    return given | {"input": str(path), "check_rows": 1}
