"""The step that costs money: at most one job per shard, whatever crashes.

The worker writes the intent through the fence before it sends the request. A worker that finds an intent without a job,
or whose server may have forgotten one, looks for the job at the provider first. Finding none proves something only when
the look began later than the last moment at which the request could arrive, and a while after that: until then the
provider may not list what it has. Then the uploaded rows are deleted, so that a request that arrives later still makes
no job, and after another look the shard starts over. That look waits for the list, too, where the creator fell silent:
it may have been stopped, and have sent its request right before the rows went. What cannot be decided is parked.

A job that runs in the worker itself needs no intent: nothing travels. See `local_job`.
"""

import random

import msgspec

from ...core.jobs import Account, Failure, Job, RowsRefusedError
from ...core.times import iso_time
from ...exceptions import (
    NoIdError,
    ProviderAPIError,
    QueueFullError,
    UndecidedError,
)
from ...state.facts import ShardFacts
from ...state.items import Intent, Shard
from ...state.table import State
from .. import local_job
from ..context import Context, Running
from ..earlier import Earlier, earlier_answers
from ..jobs import job_spec, new_round, rows_to_send, uploads_of
from ..journal import note_job
from ..keys import is_replaced, why_replaced
from ..ledger import of_a_job, reserve
from ..lookup import look, visibility
from ..outcome import ShardOutcome, shard_to
from ..policy import DAY, LONGEST_RETRY_AFTER, describe
from ..refusals import queue_is_full, rows_refused
from ..reported import sound, sound_rows
from ..sending import MARGIN, time_to_send
from ..step import Step

# A request that was sent may still be on its way this long after the client gave up on it.
_LATE = 30.0

# Seconds until a worker looks for the job of a request whose effect is unknown: soon, then after a share of its age.
_SOON, _LONGEST_WAIT = 1.0, 60.0
# Seconds until a look at the answer to another worker's walk, and at a job that may be the shard's.
_TURN, _LONGEST_DELAY = 2.0, 600.0
# No job of a provider that shows no labels runs longer.
_LONGEST_RUN = 2 * DAY

#: Requests that created no job; each round has its own tries, so the rounds must end, too.
MOST_ROUNDS = 150


def create(running: Running, shard: Shard) -> ShardOutcome:
    """Create the shard's job, or find the one that an earlier attempt created."""
    if _runs_here(running, shard):
        return local_job.run(running, shard)
    earlier = _earlier_intent(running, shard)
    if earlier is not None:
        return _resolve(running, shard, earlier)
    client = running.client_of(shard)
    if shard.cancel:
        return shard_to(State.NORMALIZING)
    rows = rows_to_send(running, shard)
    carried = rows.size if shard.upload is None else 0
    intent = _intent_at(running, running.store.now(), carried)  # the store's clock is the same for the whole fleet
    if (waits := reserve(running, shard, intent=intent, account=_account(running, shard))) is not None:
        return waits
    running.lease.require(MARGIN)
    try:
        job = sound(shard.provider, client.create(rows, job_spec(shard)))
    except ProviderAPIError as error:
        if error.ambiguous:
            delay = max(_SOON, min(error.retry_after or 0, LONGEST_RETRY_AFTER))
            failure = Failure(type=error.type, message=str(error), retryable=True)
            intent = msgspec.structs.replace(intent, was_taken=isinstance(error, NoIdError), trouble=str(error))
            return shard_to(State.CREATING, delay, error=failure, attempts=shard.attempts + 1, intent=intent)
        running.lease.renew(
            intent=None, booked={}
        )  # a refusal: there is no job, and the next attempt need not look for one
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


def _earlier_intent(running: Running, shard: Shard) -> Intent | None:
    """The intent of an earlier attempt, or one that the store may have forgotten; None: there was none.

    The claim of that attempt is over, and rows are sent only while a claim holds: a request that would have taken long
    can arrive no later than one that is sent now.
    """
    now, intent = running.store.now(), shard.intent
    if intent is not None:
        until = min(intent.late_until, _intent_at(running, now).late_until)
        intent = msgspec.structs.replace(intent, late_until=until)
    if shard.doubt_since is not None:  # a claim that no commit ended may have gone on after the doubt began
        intent = _doubted(intent, shard.doubt_since, _intent_at(running, now if shard.crashes else shard.doubt_since))
    if intent is not None and intent != shard.intent:
        running.lease.renew(intent=intent, account=shard.account or _account(running, shard))
    return intent


def _doubted(known: Intent | None, since: float, forgotten: Intent) -> Intent:
    """The latest intent that there may be: the store may have forgotten how the known one ended, and another one."""
    if known is None:
        return forgotten
    late_until = max(known.late_until, forgotten.late_until)
    closed_at = known.closed_at if known.closed_at is not None and known.closed_at > since else None
    return msgspec.structs.replace(known, late_until=late_until, closed_at=closed_at)


def _owns(shard: Shard, job: Job) -> ShardOutcome:
    return shard_to(shard.state.onward, job=msgspec.structs.replace(job, refused=()), intent=None, doubt_since=None)


def _finds(running: Running, shard: Shard, job: Job) -> ShardOutcome:
    return _owns(shard, job).over(ShardFacts(booked=of_a_job(running, shard)))


def _account(running: Running, shard: Shard) -> Account:
    return running.client_of(shard).access.account(shard.credential)


def _runs_here(context: Context, shard: Shard) -> bool:
    return not context.clients.provider(shard.provider).remote


def _resolve(running: Running, shard: Shard, intent: Intent) -> ShardOutcome:
    """What an earlier attempt led to."""
    now, proves_at = running.store.now(), _proves_at(running, shard, intent)
    found = look(running, shard, proves_at if now > proves_at else max(intent.at, shard.updated_at))
    if found is None:
        return _wait(shard, intent, proves_at, _TURN * random.uniform(1, 2))  # noqa: S311
    if found.job is not None:
        return _finds(running, shard, found.job)
    earlier = earlier_answers(running, shard)
    if earlier.are_all:
        return _has_answers(earlier)
    if is_replaced(running, shard):
        return shard_to(State.PARKED, error=_of_another_account(shard))
    if found.candidates:
        return _wait_for_the_end(shard, intent, now, found.candidates)
    if found.began_at <= proves_at:
        return _wait(shard, intent, proves_at, _next_look(now - intent.at, proves_at - now))
    if earlier.answers:
        return _has_answers(earlier)
    if intent.was_taken:
        return shard_to(State.PARKED, error=_nameless(shard))
    if intent.closed_at is None and (uploads := uploads_of(running, shard)):
        return _close(running, shard, intent, uploads)
    if shard.round + 1 >= MOST_ROUNDS:
        message = f"{MOST_ROUNDS} requests created no job; the provider has none of this shard"
        failure = Failure(type="provider_unavailable", message=message)
        return shard_to(State.NORMALIZING, failure=failure, intent=None)
    return shard_to(State.UPLOADING, **new_round(shard))


def _has_answers(earlier: Earlier) -> ShardOutcome:
    """The store forgot that the answers were fetched, and the provider has the job no more: it is paid for."""
    return shard_to(State.NORMALIZING, answers=earlier.answers, intent=None, doubt_since=None)


def _proves_at(running: Running, shard: Shard, intent: Intent) -> float:
    """After which moment a look must begin, by the store's clock, so that finding no job proves that there is none.

    A creator that fell silent may only have been stopped. Its request may have arrived until the rows were deleted, and
    made a job that is listed late.
    """
    bound = visibility(running, shard)
    may_be_stopped = not intent.trouble or shard.doubt_since is not None
    closed_at = intent.closed_at or 0
    return max(intent.late_until + bound, closed_at + bound if may_be_stopped else closed_at)


def _next_look(age: float, left: float) -> float:
    """Seconds until the next look: after a quarter of the time since the request, and when a look proves something."""
    return min(max(_SOON, min(age / 4, _LONGEST_WAIT)), max(0.0, left) + _SOON)


def _wait(shard: Shard, intent: Intent, proves_at: float, delay: float) -> ShardOutcome:
    message = (
        f"{intent.trouble or 'it is not known whether the request created a job'}; looking for the job again "
        f"in {delay:.0f} s; if there is none, another one is created after {iso_time(proves_at)}"
    )
    failure = Failure(type=UndecidedError.type, message=message, retryable=True)
    return shard_to(State.CREATING, delay, error=failure, attempts=shard.attempts, intent=intent)


def _wait_for_the_end(shard: Shard, intent: Intent, now: float, candidates: tuple[str, ...]) -> ShardOutcome:
    """Look again when the jobs that may be the shard's have ended, and show whose rows they have."""
    message = f"the job may be one of {len(candidates)} that {shard.provider} does not name yet ({candidates[0]})"
    if now > intent.at + _LONGEST_RUN:
        message += f"; look at it there, then `batch-router resolve {shard.id} --attach JOB`, or `--recreate`"
        return shard_to(State.PARKED, error=Failure(type=UndecidedError.type, message=message))
    delay = max(_SOON, min((now - intent.at) / 4, _LONGEST_DELAY))
    message += f"; looking again in {delay:.0f} s, and it is known when they end"
    failure = Failure(type=UndecidedError.type, message=message, retryable=True)
    return shard_to(State.CREATING, delay, error=failure, attempts=shard.attempts, intent=intent)


def _close(running: Running, shard: Shard, intent: Intent, uploads: frozenset[str]) -> ShardOutcome:
    """Delete the uploaded rows, so that a request that still arrives makes no job; then look a last time."""
    proves_at = _proves_at(running, shard, intent)
    found = look(running, shard, proves_at, uploads)
    if found is None:
        return _wait(shard, intent, proves_at, _TURN)
    if found.job is not None:
        return _finds(running, shard, found.job)
    client = running.client_of(shard)
    for name in sorted(uploads):
        client.delete_upload(name)
    closed = msgspec.structs.replace(intent, closed_at=running.store.now())
    return _wait(shard, closed, _proves_at(running, shard, closed), _SOON)


def _of_another_account(shard: Shard) -> Failure:
    remedy = f"`batch-router resolve {shard.id} --attach JOB`, or `--recreate` if there is none"
    message = f"a job may have been created, and {why_replaced(shard)} {remedy}"
    return Failure(type=UndecidedError.type, message=message)


def _nameless(shard: Shard) -> Failure:
    message = (
        f"{shard.provider} took the request to create a job, and neither names nor lists the job; find it there: "
        f"`batch-router resolve {shard.id} --attach JOB`, or `--recreate` if there is none"
    )
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
