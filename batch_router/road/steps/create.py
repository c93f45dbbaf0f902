"""The step that costs money: at most one job per shard, whatever crashes.

The worker writes the intent through the fence before it sends the request. A worker that finds an intent without a job
looks for the label at the provider first, and creates again only when the first request can no longer arrive and two
look-ups, one of them after the uploaded rows were deleted, found nothing: a request that arrives after that fails, for
its rows are gone. What cannot be decided is parked.

A job that runs in the worker itself needs no intent: nothing travels. See `local_job`.
"""

import msgspec

from ...core.jobs import Failure, Job, RowsRefusedError
from ...exceptions import (
    BatchRouterError,
    NoIdError,
    ProviderAPIError,
    QueueFullError,
    UndecidedError,
)
from ...providers import Client
from ...state.items import Intent, Shard, ShardFacts
from ...state.table import State
from .. import local_job
from ..context import Context, Running
from ..jobs import job_spec, new_round, rows_to_send
from ..journal import note_job
from ..outcome import ShardOutcome, shard_to
from ..policy import LONGEST_RETRY_AFTER, describe
from ..refusals import queue_is_full, rows_refused
from ..reported import sound, sound_rows
from ..sending import MARGIN, time_to_send
from ..step import Step

# A request that was sent may still be on its way this long after the client gave up on it.
_LATE = 30.0

# Seconds until a worker looks for the job of a request whose effect is unknown.
_SOON = 1.0

#: Requests that created no job; each round has its own tries, so the rounds must end, too.
MOST_ROUNDS = 150


def create(running: Running, shard: Shard) -> ShardOutcome:
    """Create the shard's job, or find the one that an earlier attempt created."""
    if _runs_here(running, shard):
        return local_job.run(running, shard)
    intent = shard.intent or _forgotten(running, shard)
    if intent is not None:
        return _resolve(running, shard, intent)
    client = running.client_of(shard)
    if shard.cancel:
        return shard_to(State.NORMALIZING)
    account = client.access.account(shard.credential)
    rows = rows_to_send(running, shard)
    carried = rows.size if shard.upload is None else 0
    intent = _intent_at(running, running.store.now(), carried)  # the store's clock is the same for the whole fleet
    running.lease.renew(intent=intent, account=account)
    running.lease.require(MARGIN)
    try:
        job = sound(shard.provider, client.create(rows, job_spec(shard)))
    except ProviderAPIError as error:
        if error.ambiguous:
            failure = Failure(type=error.type, message=str(error), retryable=True)
            intent = msgspec.structs.replace(intent, was_taken=isinstance(error, NoIdError))
            delay = max(_SOON, min(error.retry_after or 0, LONGEST_RETRY_AFTER))
            return shard_to(State.CREATING, delay, error=failure, attempts=shard.attempts + 1, intent=intent)
        running.lease.renew(intent=None)  # a refusal: there is no job, and the next attempt need not look for one
        if isinstance(error, RowsRefusedError):
            return rows_refused(shard, describe(error, retryable=False), sound_rows(error.rows))
        if isinstance(error, QueueFullError) and not shard.cancel:
            return queue_is_full(running, shard, describe(error, retryable=True))
        raise
    return _owns(shard, job)


def _intent_at(running: Running, now: float, carried: int = 0) -> Intent:
    """An intent: the request is sent by a known time, its last piece takes a time-out, and it may arrive later yet.

    Args:
        running: where the request is sent from.
        now: by the store's clock.
        carried: bytes of rows that go with the request.
    """
    late = time_to_send(running.settings, carried) + running.settings.http_timeout + _LATE
    return Intent(at=now, late_until=now + late)


def _forgotten(running: Running, shard: Shard) -> Intent | None:
    """The latest intent that the store may have forgotten. Who sent rows then has lost the lease, and sends no more."""
    return None if shard.doubt_since is None else _intent_at(running, shard.doubt_since)


def _owns(shard: Shard, job: Job) -> ShardOutcome:
    return shard_to(shard.state.onward, job=msgspec.structs.replace(job, refused=()), intent=None, doubt_since=None)


def _runs_here(context: Context, shard: Shard) -> bool:
    return not context.clients.provider(shard.provider).remote


def _resolve(running: Running, shard: Shard, intent: Intent) -> ShardOutcome:
    """What an earlier attempt led to."""
    client = running.client_of(shard)
    try:
        job = _find(running, shard, client)
        if job is not None:
            return _owns(shard, job)
        late = intent.late_until - running.store.now()
        if late > 0:
            return _look_again(shard, late)
        if intent.was_taken:
            return shard_to(State.PARKED, error=_nameless(shard))
        if shard.upload is not None:
            client.delete_upload(shard.upload)
        job = _find(running, shard, client)
    except ProviderAPIError as error:
        if error.retryable:
            raise
        return shard_to(State.PARKED, error=_undecided(error))
    if job is not None:
        return _owns(shard, job)
    if shard.round + 1 >= MOST_ROUNDS:
        message = f"{MOST_ROUNDS} requests created no job; the provider has none of this shard"
        failure = Failure(type="provider_unavailable", message=message)
        return shard_to(State.NORMALIZING, failure=failure, intent=None)
    return shard_to(State.UPLOADING, **new_round(shard))


def _nameless(shard: Shard) -> Failure:
    message = (
        f"{shard.provider} took the request to create a job, and neither names nor lists the job; find it there: "
        f"`batch-router resolve {shard.id} --attach JOB`, or `--recreate` if there is none"
    )
    return Failure(type=UndecidedError.type, message=message)


def _look_again(shard: Shard, late: float) -> ShardOutcome:
    message = f"an earlier request to create the job may still arrive; looking again in {late:.0f} s"
    failure = Failure(type=UndecidedError.type, message=message, retryable=True)
    return shard_to(State.CREATING, late, error=failure, attempts=shard.attempts)


def _find(running: Running, shard: Shard, client: Client) -> Job | None:
    """The job an earlier attempt created, or None.

    Jobs that were refused as a whole are ignored: they did no work and may belong to a previous round.
    """
    spec = job_spec(shard)
    try:
        job = client.find(spec)
    except UndecidedError:  # which of the running jobs it is, other shards' jobs may tell
        taken = running.store.jobs_of(running.account_of(shard))
        job = client.find(msgspec.structs.replace(spec, taken=frozenset(taken)))
    found = None if job is None else sound(shard.provider, job)
    return None if found is None or found.did_nothing else found


def _undecided(error: BatchRouterError) -> Failure:
    message = f"a job may have been created, and the provider cannot be asked: {error}"
    return Failure(type=UndecidedError.type, message=message)


def _undo(running: Running, shard: Shard, facts: ShardFacts) -> None:
    """Note the job of a creator that could not commit. A job that runs here is known by its files."""
    job = facts.get("job")
    if job is not None and not _runs_here(running, shard):
        note_job(running, shard, job)


def _give_up(running: Running, shard: Shard, failure: Failure) -> ShardOutcome | None:
    """A job that runs here leaves what it has answered; any other shard goes where the table says."""
    try:
        runs_here = _runs_here(running, shard)
    except Exception:  # a provider that cannot be loaded has run nothing here
        return None
    return local_job.keep_answers(running, shard, failure) if runs_here else None


STEP = Step(create, calls_provider=True, undo=_undo, give_up=_give_up)
