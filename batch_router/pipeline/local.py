"""Looking after a job that runs in this process: how far it is, and whether it is to end."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import msgspec

from ..core.jobs import Progress
from ..exceptions import BrokerUnavailableError, NotFoundError
from ..providers import Client, LocalClient
from ..state.items import Shard
from .context import Context
from .lease import LeaseLostError

# An engine may take ten seconds to end, and a user waits fifteen.
_LOOK_EVERY = 2.0

log = logging.getLogger("batch_router")


@contextmanager
def looking_after(context: Context, shard: Shard, client: Client) -> Iterator[None]:
    """While the job runs, its counts go into the shard; it is told of a cancel, and of the end of the worker."""
    local = cast(LocalClient, client)
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(context, shard, local, over), name="job-watch", daemon=True)
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
        except (BrokerUnavailableError, NotFoundError):
            continue
        except Exception:  # without this thread, nobody would tell the job of its end
            log.exception("action=watch_failed item=%s", shard.id)
