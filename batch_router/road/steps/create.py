"""The step that costs money: at most one job per shard, whatever crashes.

The intent is written through the fence before the request is sent. Whoever finds an intent without a job looks for the
token at the provider first, and creates again only when the first request can no longer arrive and two look-ups, one of
them after the uploaded rows were deleted, found nothing: a request that arrives after that fails, for its rows are
gone. What cannot be decided is parked.
"""

import sys
import time

import msgspec

from ...core import BatchStatus
from ...core.jobs import Failure, Job
from ...exceptions import BatchRouterError, ProviderAPIError, UndecidedError
from ...providers import Client
from ...state.items import Intent, Shard
from ...state.table import State
from ..context import Context, Outcome
from ..jobs import begin_anew, job_spec, stored_rows
from ..local_job import run
from ..policy import MAX_ATTEMPTS

# The lease must hold this much longer when the request is sent, so that a pause between check and call is covered.
_MARGIN = 2.0

# A request that was sent may still be on its way this long after the client gave up on it.
_LATE = 30.0


def create(context: Context, shard: Shard) -> Outcome:
    """Create the shard's job, or find the one that an earlier attempt made."""
    if not context.clients.provider(shard.provider).remote:
        return run(context, shard)
    if shard.intent is not None:
        return _resolve(context, shard, shard.intent)
    client = context.client_of(shard)
    if shard.cancel:
        return Outcome(State.NORMALIZING)
    now = context.store.now()  # the fleet's clocks may differ; this one is everybody's
    # It is sent before the lease that begins now ends, given up on after the time-out, and may be under way still.
    late = context.settings.lease + context.settings.http_timeout + _LATE
    context.lease.renew(intent=Intent(at=now, late_until=now + late))
    context.lease.require(_MARGIN)
    try:
        job = client.create(stored_rows(context, shard), job_spec(shard))
    except ProviderAPIError as error:
        if error.ambiguous:
            failure = Failure(type=error.type, message=str(error), retryable=True)
            return Outcome(State.CREATING, delay=1, patch={"error": failure, "attempts": shard.attempts + 1})
        context.lease.renew(intent=None)  # a refusal: there is no job, and the next attempt need not look for one
        raise
    return Outcome(State.POLLING, patch={"job": job, "intent": None})


def _resolve(context: Context, shard: Shard, intent: Intent) -> Outcome:
    """What came of an earlier attempt."""
    client = context.client_of(shard)
    try:
        job = _find(context, shard, client)
        if job is not None:
            return Outcome(State.POLLING, patch={"job": job, "intent": None})
        late = intent.late_until - context.store.now()
        if late > 0:
            message = f"an earlier request to create the job may still arrive; looking again in {late:.0f} s"
            failure = Failure(type="create_unknown", message=message, retryable=True)
            return Outcome(State.CREATING, delay=late, patch={"error": failure, "attempts": shard.attempts})
        if shard.upload is not None:
            client.delete_upload(shard.upload)
        job = _find(context, shard, client)
    except ProviderAPIError as error:
        if error.retryable:
            raise
        return Outcome(State.PARKED, patch={"error": _undecided(error)})
    if job is not None:
        return Outcome(State.POLLING, patch={"job": job, "intent": None})
    if shard.round + 1 >= MAX_ATTEMPTS:  # every round has its own attempts, and so the rounds must end, too
        message = f"{MAX_ATTEMPTS} requests to create the job came to nothing; the provider has no job of this shard"
        patch = {"failure": Failure(type="provider_unavailable", message=message), "intent": None}
        return Outcome(State.NORMALIZING, patch=patch)
    return Outcome(State.UPLOADING, patch=begin_anew(shard))


def _find(context: Context, shard: Shard, client: Client) -> Job | None:
    """The job that the attempt made. One that failed did nothing, and may be of an earlier one: as good as none."""
    spec = job_spec(shard)
    try:
        job = client.find(spec)
    except UndecidedError:  # only now: to read all shards of the store takes its time
        job = client.find(msgspec.structs.replace(spec, taken=_taken(context, shard)))
    return None if job is None or job.status is BatchStatus.FAILED else job


def _taken(context: Context, shard: Shard) -> frozenset[str]:
    """The jobs of all other shards."""
    others = (other for batch in context.store.list_batches(sys.maxsize) for other in context.store.get_shards(batch))
    jobs = (other.job.id for other in others if other.job is not None and other.id != shard.id)
    return frozenset(jobs) | context.store.forgotten_jobs()


def _undecided(error: BatchRouterError) -> Failure:
    message = f"a job may have been created, and the provider cannot be asked: {error}"
    return Failure(type="create_unknown", message=message)


def undo_create(context: Context, shard: Shard, outcome: Outcome) -> None:
    """Cancel the job of a creator that lost its fence, unless the store says that the job is owned.

    While the shard is still in `creating`, its new holder looks for the token and finds this very job, so it is left
    alone until that is decided.
    """
    job = outcome.patch.get("job")
    if job is None:
        return
    deadline = time.monotonic() + 2 * context.settings.lease
    while time.monotonic() < deadline:
        current = context.store.get_shard(shard.id)
        if current is None or current.state is not State.CREATING:
            break
        time.sleep(context.settings.sweep_every)
    else:
        return
    if current is not None and current.job is not None and current.job.id == job.id:
        return
    context.client_of(shard).cancel(job.id)
