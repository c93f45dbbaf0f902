"""A job that runs in this process: it takes its turn, is looked after while it runs, and leaves what it answered."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import msgspec

from ..core.jobs import Progress
from ..exceptions import BatchRouterError, JobInterruptedError, NotFoundError, StoreUnavailableError
from ..providers import LocalClient
from ..state.items import Shard
from ..state.table import State
from .context import Context, Outcome
from .jobs import job_spec, stored_rows
from .lease import LeaseLostError
from .policy import describe
from .turns import PASSED_OVER

# An engine may take ten seconds to end, and a user waits fifteen.
_LOOK_EVERY = 2.0

log = logging.getLogger("batch_router")


def run(context: Context, shard: Shard) -> Outcome:
    """Create the shard's job, which is to run it to its end; what an earlier run has answered is not asked again."""
    client = cast(LocalClient, context.client_of(shard))
    if shard.cancel:
        client.cancel(str(shard.upload))  # then `create` has no engine start, and keeps what an earlier one answered
    elif context.turns.passes_over(context.store, shard, client):
        return Outcome(State.CREATING, PASSED_OVER, {"attempts": shard.attempts, "error": shard.error})
    try:
        with _looking_after(context, shard, client):
            job = client.create(stored_rows(context, shard), job_spec(shard))
    except JobInterruptedError as error:  # nothing went wrong, so nothing is counted
        failure = describe(error, retryable=True) if error.retry_after else None
        return Outcome(State.CREATING, error.retry_after or 0, {"attempts": shard.attempts, "error": failure})
    return Outcome(State.POLLING, patch={"job": job, "progress": None})


def after_run(before: Shard, after: Shard) -> Shard:
    """A shard after a run that failed, as the store has it. Tries that got on were not in vain, and do not count."""
    done = [shard.progress.completed if shard.progress else 0 for shard in (before, after)]
    return msgspec.structs.replace(after, attempts=after.attempts if done[1] <= done[0] else 0)


def settle(context: Context, shard: Shard, patch: dict[str, Any]) -> Outcome:
    """Give a shard up, and make a job of what its runs have answered; `patch` says why."""
    client = cast(LocalClient, context.clients.get(shard.provider))  # for files no key is needed
    try:
        job = client.settle(str(shard.upload))
    except JobInterruptedError as error:
        return Outcome(State.CREATING, error.retry_after, {"attempts": shard.attempts, "error": patch["failure"]})
    except BatchRouterError as error:
        log.warning("action=settle_failed item=%s error=%s", shard.id, error)
        return Outcome(State.NORMALIZING, patch=patch)
    return Outcome(State.POLLING, patch=patch | {"job": job, "progress": None})


@contextmanager
def _looking_after(context: Context, shard: Shard, client: LocalClient) -> Iterator[None]:
    """While the job runs, its counts go into the shard; it is told of a cancel, and of the end of the worker."""
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(context, shard, client, over), name="job-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _look(context: Context, shard: Shard, client: LocalClient, over: threading.Event) -> None:
    job_id = str(shard.upload)
    first: Progress | None = None
    cancelled = False
    while not over.wait(min(_LOOK_EVERY, context.settings.renew_every)):
        if context.is_stopping():
            client.interrupt(job_id)
        try:
            batch = context.store.get_batch(shard.batch)
            if batch is not None and batch.cancel and not cancelled:
                client.cancel(job_id)
                cancelled = True
            now, completed = context.store.now(), client.get(job_id).completed
            if first is None or completed == first.before:  # loading the model is no measure of its pace
                first = Progress(completed=completed, before=completed, since=now, at=now)
            context.lease.renew(progress=msgspec.structs.replace(first, completed=completed, at=now))
        except LeaseLostError:
            client.interrupt(job_id)  # whoever has the shard now begins when this one has let go
        except (StoreUnavailableError, NotFoundError):
            continue
        except Exception:  # without this thread, nobody would tell the job of its end
            log.exception("action=watch_failed item=%s", shard.id)
