"""A job that runs in this worker: it takes its turn, is watched while it runs, and leaves what it has answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec

from ..core.jobs import Failure, Progress
from ..exceptions import BatchRouterError, JobInterruptedError, NotFoundError, StoreUnavailableError
from ..providers import LocalClient
from ..security.logs import get_logger
from ..state.base import Store
from ..state.items import Shard
from ..state.table import State
from .context import Context, Running
from .engine_turns import PASSED_OVER
from .jobs import job_spec, stored_rows
from .lease import LeaseLostError
from .outcome import ShardOutcome, shard_to
from .policy import describe
from .reported import sound

# An engine may take ten seconds to end, and a user waits fifteen.
_LOOK_EVERY = 2.0

log = get_logger(__name__)


def run(running: Running, shard: Shard) -> ShardOutcome:
    """Create the shard's job, which runs it to its end; rows that an earlier run has answered are not sent again."""
    client = _client_of(running, shard)
    if shard.cancel:
        client.cancel(shard.requests)  # then `create` starts no engine, and keeps what an earlier one answered
    elif running.turns.passes_over(running.store, shard, client):
        return shard_to(State.CREATING, PASSED_OVER, attempts=shard.attempts, error=shard.error)
    clock = _Clock(running.store, shard)
    try:
        with _watched(running, shard, client, clock):
            job = sound(shard.provider, client.create(stored_rows(running, shard), job_spec(shard)))
    except JobInterruptedError as error:  # nothing went wrong, so the try does not count
        failure = describe(error, retryable=True) if error.retry_after else None
        return shard_to(State.CREATING, error.retry_after or 0, attempts=shard.attempts, error=failure)
    return shard_to(State.POLLING, job=job, progress=None, run_for=clock.spent())


def keep_answers(context: Context, shard: Shard, failure: Failure) -> ShardOutcome:
    """Give a shard up because of `failure`, and make a job of what its runs have answered."""
    try:
        client = cast(LocalClient, context.client_of(shard, needs_key=False))
        job = sound(shard.provider, client.keep_answers(shard.requests))
    except JobInterruptedError as error:
        return shard_to(State.CREATING, error.retry_after, attempts=shard.attempts, error=failure)
    except BatchRouterError as error:
        log.warning("action=keep_answers_failed item=%s error=%s", shard.id, error)
        return shard_to(State.NORMALIZING, failure=failure)
    return shard_to(State.POLLING, failure=failure, job=job, progress=None, run_for=_spent_before(shard))


class _Clock:
    """How long the job has run, with its earlier runs: of a worker that died, until it last renewed its lease."""

    def __init__(self, store: Store, shard: Shard) -> None:
        self._store = store
        self._before = _spent_before(shard)
        self._began = store.now()

    def spent(self) -> float:
        """Seconds."""
        return self._before + self._store.now() - self._began


def _spent_before(shard: Shard) -> float:
    return shard.progress.spent if shard.progress else 0


def _client_of(context: Context, shard: Shard) -> LocalClient:
    return cast(LocalClient, context.client_of(shard))


@contextmanager
def _watched(running: Running, shard: Shard, client: LocalClient, clock: _Clock) -> Iterator[None]:
    """While the job runs, its counts go into the shard, and a cancel or the end of the worker reaches the job."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(running, shard, client, clock, over), name="job-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(running: Running, shard: Shard, client: LocalClient, clock: _Clock, over: threading.Event) -> None:
    job_id = shard.requests  # as of all jobs of a `LocalClient`
    answered = shard.progress.completed if shard.progress else 0
    first: Progress | None = None
    cancelled = False
    while not over.wait(min(_LOOK_EVERY, running.settings.renew_every)):
        if running.is_stopping():
            client.interrupt(job_id)
        try:
            cancelled = cancelled or _pass_on_cancel(running, shard, client)
            # an engine that starts again has not read yet what an earlier run answered
            now, completed = running.store.now(), max(answered, sound(shard.provider, client.get(job_id)).completed)
            if first is None or completed == first.before:  # loading the model is no measure of its pace
                first = Progress(completed=completed, before=completed, since=now, at=now)
            running.lease.renew(
                progress=msgspec.structs.replace(first, completed=completed, at=now, spent=clock.spent())
            )
        except LeaseLostError:
            client.interrupt(job_id)  # the shard's next holder begins when this run has let go of the files
        except (StoreUnavailableError, NotFoundError):
            continue
        except Exception:  # without this thread, no cancel and no stop would reach the job
            log.exception("action=watch_failed item=%s", shard.id)


def _pass_on_cancel(running: Running, shard: Shard, client: LocalClient) -> bool:
    """Cancel the job if its batch is cancelled; whether it was."""
    batch = running.store.get_batch(shard.batch)
    if batch is None or not batch.cancel:
        return False
    client.cancel(shard.requests)
    return True
