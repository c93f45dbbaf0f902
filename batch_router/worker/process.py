"""What one process works with: opened when it is first needed, and once more in each forked child."""

import dataclasses
import mmap
import os
from contextlib import closing
from functools import cache
from typing import Any

from ..connect import open_context
from ..credentials import may_have_key
from ..providers import Provider, find_provider, provider_names
from ..road import storage_mark
from ..road.context import Context
from ..road.service_mark import bind_services, services_of
from ..security.logs import get_logger
from ..settings import Settings, warn_of_unknown_variables
from .delivery import deliver
from .queues import CALLING_QUEUES

log = get_logger(__name__)

# One byte that the pool's children share with the main process, which alone sees the signals. It needs no lock: a child
# that is killed while it holds one would stop all others.
_stopping = mmap.mmap(-1, 1)


@cache
def context() -> Context:
    """The context of this process.

    Raises:
        ValidationError: the store's payloads are not where this worker looks for them.
        StoreUnavailableError: the store does not answer; another call tries again.
    """
    opened = open_context(Settings.from_env())
    storage_mark.bind(opened)
    return dataclasses.replace(opened, is_stopping=is_stopping, deliver=deliver)


def bind_storage() -> None:
    """Decide, for a store without one, that its payloads are in this process's storage, and where its batches go.

    Raises:
        ValidationError: they are in another one, or go to simulated services instead of real ones, or the reverse.
        StoreUnavailableError: the store does not answer.
    """
    with closing(open_context(Settings.from_env())) as opened:
        storage_mark.bind(opened)
        # Here alone: a caller of `submit_batch` has a context, too, and does not know where the workers send its rows.
        bind_services(opened.storage, services_of(opened.settings))


# Connections, locks and the lease keeper's thread do not survive a fork.
os.register_at_fork(after_in_child=context.cache_clear)


def is_stopping() -> bool:
    """Whether this worker was asked to end."""
    return bool(_stopping[0])


def stop(**_: Any) -> None:
    """Have the jobs that run in this worker handed on: it waits for its steps, and a GPU works for hours."""
    _stopping[0] = 1


def warm_up(*, instance: Any, **_: Any) -> None:
    """Import the SDKs that this worker will call before its first step needs them: a second or two each.

    Forked children share what is imported. The first step that calls another SDK imports it.

    Args:
        instance: the worker, which knows its queues and has no children yet.
    """
    queues = set(instance.app.amqp.queues.consume_from)
    settings = Settings.from_env()
    names = provider_names()
    for name in names:
        try:
            provider = find_provider(name)
            if _is_called(provider, queues, settings):
                provider.preload()
        except Exception:  # a package that cannot be imported concerns its own batches
            log.exception("action=preload_failed provider=%s", name)
    warn_of_unknown_variables(names)


def _is_called(provider: type[Provider], queues: set[str], settings: Settings) -> bool:
    """Whether steps of these queues call the provider, as far as is known before there is one."""
    if provider.queue is not None:
        return any(map(provider.owns_queue, queues))
    return not queues.isdisjoint(CALLING_QUEUES) and may_have_key(provider, settings.credentials)
