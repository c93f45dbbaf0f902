"""Looking at the job until it has ended, ever more rarely."""

import random

from ...core import BatchStatus
from ...core.jobs import Job
from ...state.items import Shard, ShardFacts
from ...state.table import State
from ..context import Context
from ..outcome import ShardOutcome, shard_to
from ..step import Step

# Seconds until the next look, while the job is young; then a share of its age, and never more than the cap.
_FIRST_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_SHARE_OF_AGE = 0.1
_LONGEST = 600.0
_JITTER = 0.1

# A queue at the provider that is full of our tokens drains in minutes to hours.
_QUEUE_WAIT = 60.0


def poll(context: Context, shard: Shard) -> ShardOutcome:
    """Ask the provider how the job stands."""
    if shard.job is None:
        raise RuntimeError("a shard is polled only with a job")
    client = context.client_of(shard)
    facts = ShardFacts(polls=shard.polls + 1)
    if shard.cancel and not shard.cancel_sent:
        client.cancel(shard.job.id)
        facts["cancel_sent"] = True
    job = client.get(shard.job.id)
    facts["job"] = job
    if not job.status.is_final:
        delay = next_delay(shard.polls, context.store.now() - job.created_at, random.uniform(-1, 1))  # noqa: S311
        return shard_to(State.POLLING, delay, **facts)
    if job.status is BatchStatus.FAILED:
        return _after_refusal(shard, job, facts)
    return shard_to(shard.state.onward, **facts)


def _after_refusal(shard: Shard, job: Job, facts: ShardFacts) -> ShardOutcome:
    """The provider refused the job as a whole: for now, where its queue is full, or for good."""
    if job.error is None or not job.error.retryable or shard.cancel:
        facts["failure"] = job.error
        return shard_to(State.NORMALIZING, **facts)
    delay = min(_LONGEST, _QUEUE_WAIT * 2.0 ** min(shard.queue_waits, 20))
    facts |= {"job": None, "queue_waits": shard.queue_waits + 1, "error": job.error}
    return shard_to(State.CREATING, delay, **facts)


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
