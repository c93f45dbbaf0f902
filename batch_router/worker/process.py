"""What one process works with: opened when it is first needed, anew in each forked child."""

import ctypes
import dataclasses
import multiprocessing.sharedctypes
import os
from functools import cache
from typing import Any

from celery.signals import worker_init, worker_shutting_down

from ..connect import open_context
from ..providers import find_provider, provider_names
from ..road.context import Context
from ..settings import Settings

# The pool's children share it with the main process, which alone hears of the end. It has no lock: a child that is
# killed while it holds one would stop all others.
_stopping = multiprocessing.sharedctypes.RawValue(ctypes.c_bool, False)


@cache
def context() -> Context:
    """The context of this process.

    Raises:
        ValidationError: the store's payloads are not where this worker looks for them.
        StoreUnavailableError: the store does not answer; another call tries again.
    """
    opened = open_context(Settings.from_env())
    opened.check_storage()
    return dataclasses.replace(opened, is_stopping=lambda: bool(_stopping.value))


# Connections, locks and the lease keeper's thread do not survive a fork.
os.register_at_fork(after_in_child=context.cache_clear)


@worker_shutting_down.connect
def stop(**_: Any) -> None:
    """Have the jobs that run in this worker handed on: it waits for its steps, and a GPU works for hours."""
    _stopping.value = True


@worker_init.connect
def warm_up(**_: Any) -> None:
    """Import the SDKs before the first step needs them: a second each. Forked children share what is imported."""
    for name in provider_names():
        find_provider(name).preload()
