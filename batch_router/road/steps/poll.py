"""Looking at the job until it has ended, ever more rarely."""

import random

import msgspec

from ...core import BatchStatus
from ...core.jobs import Failure, Job
from ...exceptions import NotFoundError, ProtocolError, ProviderAPIError
from ...providers import Client
from ...security.logs import get_logger
from ...state.facts import ShardFacts
from ...state.items import Shard
from ...state.table import State
from ..absent import after_not_found
from ..context import Context
from ..ledger import ended
from ..outcome import ShardOutcome, shard_to
from ..policy import describe, overdue_at
from ..refetch import look_again
from ..refusals import after_refusal
from ..reported import sound
from ..step import Step
from ..watching import is_watched, next_question, watch

log = get_logger(__name__)

# Seconds until the next look, while the job is young; then a share of its age, and never more than the cap.
_FIRST_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_SHARE_OF_AGE = 0.1
_LONGEST = 600.0
_JITTER = 0.1


def poll(context: Context, shard: Shard) -> ShardOutcome:
    """Ask the provider how the job stands."""
    if shard.job is None:
        raise RuntimeError("a shard is polled only with a job")
    client = context.client_of(shard)
    watched = is_watched(context, shard, shard.job)
    if watched:
        try:
            if (outcome := watch(context, shard, shard.job)) is not None:
                return outcome
        except ProviderAPIError as error:  # not every service lists its jobs: then each is asked for
            log.warning("action=walk_failed item=%s error=%s", shard.id, error)
            watched = False
    facts = ShardFacts(polls=shard.polls + 1)
    trouble = None
    if shard.cancel and not shard.cancel_sent:
        trouble = _cancel(client, shard.job.id)
        facts["cancel_sent"] = trouble is None
    try:
        seen = sound(shard.provider, client.get(shard.job.id))
    except NotFoundError as error:
        return after_not_found(context, shard, shard.job, error).over(facts)
    if shard.absent_since is not None:
        facts["absent_since"] = None
    # A gateway may call the job something else, or nothing of the kind.
    job = facts["job"] = msgspec.structs.replace(seen, id=shard.job.id, refused=())
    if not job.status.is_final:
        waiting = _keep_waiting(context, shard, job, trouble)
        return (waiting._replace(delay=next_question()) if watched and job.word is None else waiting).over(facts)
    if job.did_nothing:
        return after_refusal(context, shard, seen).over(facts)
    if job.error is not None:  # it failed on the way
        facts["failure"] = job.error
    if job.unnamed:
        gap = f"{job.id} has ended, and names no file of its answers"
        is_paid = job.status is BatchStatus.COMPLETED or job.completed > 0
        if (again := look_again(shard, gap, is_paid=is_paid)) is not None:
            return again.over(facts)
        facts["gap"] = gap
    return shard_to(shard.state.onward, booked=ended(shard)).over(facts)


def _cancel(client: Client, job_id: str) -> Failure | None:
    """Ask the provider to cancel a job. Where it does not (why, is returned), the job is still looked at."""
    try:
        client.cancel(job_id)
    except ProviderAPIError as error:
        return describe(error, retryable=True)
    return None


def _keep_waiting(context: Context, shard: Shard, job: Job, trouble: Failure | None) -> ShardOutcome:
    now, since = context.store.now(), job.created_at or shard.created_at
    delay = next_delay(shard.polls, now - since, random.uniform(-1, 1))  # noqa: S311
    if job.word is None:
        return shard_to(State.POLLING, delay, error=trouble)
    message = f"{job.id} has the status {job.word!r}, which is none that we know"
    if now <= overdue_at(job, shard.created_at):
        waiting = Failure(type=ProtocolError.type, message=f"{message}: it is taken to run", retryable=True)
        return shard_to(State.POLLING, delay, error=waiting)
    remedy = f"look at the provider; `batch-router resolve {shard.id} --attach {job.id}` asks again"
    return shard_to(State.PARKED, error=Failure(type=ProtocolError.type, message=f"{message}; {remedy}"))


def next_delay(polls: int, age: float, jitter: float) -> float:
    """Seconds until the next look.

    Args:
        polls: looks so far.
        age: of the job, in seconds.
        jitter: -1 to 1, so that a fleet's polls do not come in step.
    """
    delay = _FIRST_DELAYS[polls] if polls < len(_FIRST_DELAYS) else max(_FIRST_DELAYS[-1], age * _SHARE_OF_AGE)
    return min(_LONGEST, delay) * (1 + _JITTER * jitter)


STEP = Step(poll, calls_provider=True)
