"""What one process works with: opened when it is first needed, and once more in each forked child."""

import dataclasses
import mmap
import os
from contextlib import closing
from functools import cache
from typing import Any

from ..connect import open_context
from ..providers import find_provider, provider_names
from ..road import storage_mark
from ..road.context import Context
from ..road.service_mark import bind_services
from ..security.logs import get_logger
from ..settings import Settings, warn_of_unknown_variables
from .delivery import deliver

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
        bind_services(opened.storage, simulated=opened.settings.simulated)


# Connections, locks and the lease keeper's thread do not survive a fork.
os.register_at_fork(after_in_child=context.cache_clear)


def is_stopping() -> bool:
    """Whether this worker was asked to end."""
    return bool(_stopping[0])


def stop(**_: Any) -> None:
    """Have the jobs that run in this worker handed on: it waits for its steps, and a GPU works for hours."""
    _stopping[0] = 1


def warm_up() -> None:
    """Import the SDKs before the first step needs them: a second each. Forked children share what is imported."""
    names = provider_names()
    for name in names:
        try:
            find_provider(name).preload()
        except Exception:  # a package that cannot be imported concerns its own batches
            log.exception("action=preload_failed provider=%s", name)
    warn_of_unknown_variables(names)
