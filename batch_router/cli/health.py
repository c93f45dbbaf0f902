"""`batch-router health`: whether a process is alive, and whether it can work, for what supervises it."""

import socket
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException

import click

from ..connect import open_context, open_store
from ..exceptions import BatchRouterError, StoreUnavailableError
from ..road.storage_mark import check
from ..settings import Settings
from ..state.base import SWEEPING, Store
from .exit_codes import ExitCode
from .terminal import tell

_WITHIN = 5.0


class _UnhealthyError(Exception):
    """Says in a sentence what is wrong."""


@click.command()
@click.option("--queue", "queues", multiple=True, help="Of a worker of this machine: it listens on it. Repeatable.")
@click.option(
    "--live", is_flag=True, help="Ask only whether its threads run, which a Redis that is away does not change."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Instead, whether a site of this machine answers: Flower.")
def health(queues: Sequence[str], live: bool, port: int | None) -> int:
    """Say in a sentence whether a process of this machine is well; the exit code is 0 or 1.

    Without options: whether Redis answers, and the payloads of the store are in this storage.
    """
    if bool(port) + live > 1 or (live and not queues):
        raise click.UsageError("--live goes with --queue, and --port with neither")
    settings = Settings.from_env()
    try:
        tell(_ask(port) if port else _alive(settings, queues) if live else _ready(settings, queues))
    except (_UnhealthyError, BatchRouterError) as error:
        tell(str(error))
        return ExitCode.FOUND_SOMETHING
    return ExitCode.OK


def _alive(settings: Settings, queues: Sequence[str]) -> str:
    """The watch of a worker announces it each second while its threads run."""
    try:
        with closing(open_store(settings, impatient=True)) as store:
            return _listening(store, queues)
    except StoreUnavailableError as error:
        return f"{error}: the worker waits for it, and is left alone"


def _ready(settings: Settings, queues: Sequence[str]) -> str:
    with closing(open_context(settings, open_store(settings, impatient=True))) as context:
        if (bound := context.store.bound_storage()) is None:
            raise _UnhealthyError("no worker has bound the store to a storage yet")
        check(context)
        found = _listening(context.store, queues) if queues else "Redis answers"
        return f"{found}; payloads are in {bound.address}"


def _listening(store: Store, queues: Sequence[str]) -> str:
    """The worker of this machine that listens on all of these queues.

    Raises:
        _UnhealthyError: there is none.
    """
    here = socket.gethostname()
    heard = [set(store.listeners(queue)) for queue in (*queues, SWEEPING)]
    workers = sorted(worker for worker in set.intersection(*heard) if worker.rpartition("@")[2] == here)
    if not workers:
        raise _UnhealthyError(f"no worker of {here} listens on {', '.join(queues)} with its threads running")
    return f"{', '.join(workers)} listens on {', '.join(queues)}"


def _ask(port: int) -> str:
    """Flower's address for this, which needs no password; others may answer it as they like."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_WITHIN)
    try:
        connection.request("GET", "/healthcheck")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise _UnhealthyError(f"nothing answers at port {port} ({type(error).__name__})") from None
    finally:
        connection.close()
    if status != 200:
        raise _UnhealthyError(f"port {port} answers {status}")
    return f"port {port} answers"
