"""What happens outside the fleet: `python -m tests.drills.caller COMMAND ARGUMENTS HEARD`.

COMMAND is `submit`, `submit linked`, `cancel`, `purge`, `retry`, `resume`, `resolve --attach` (or `--recreate`,
`--give-up`), `rebuild` or `orphans`. ARGUMENTS is JSON of what `submit_batch.delay` or the method of `BatchClient`
takes, or the `provider` whose orphans are to go; the file HEARD gets what came of it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from batch_router.client import BatchClient
from batch_router.connect import broker_server, open_context
from batch_router.exceptions import BatchRouterError, ValidationError
from batch_router.operations.orphans import find_orphans
from batch_router.operations.rebuild import rebuild
from batch_router.settings import Settings

from .linked import links
from .trace import open_traced_context
from .worker import app  # noqa: F401 - tells what happens

_JOBS = 1000


def _submit(arguments: dict[str, Any], **links: Any) -> str:
    from batch_router.worker import submit_batch

    return str(submit_batch.apply_async((), arguments, **links).id)


def _command(name: str, arguments: dict[str, Any]) -> str:
    """A method of the client that an operator calls."""
    with BatchClient(open_traced_context(Settings.from_env(), name)) as client:
        return f"{name}: {getattr(client, name.partition(' ')[0])(**arguments)}"


def _rebuild() -> str:
    """A rebuild that died has left batches in the store: then the operator says that it is the right one."""
    context = open_traced_context(Settings.from_env(), "rebuild")
    try:
        return f"rebuild: {rebuild(context)}"
    except ValidationError:
        return f"rebuild: {rebuild(context, into_others=True)}"


def _end_orphans(arguments: dict[str, Any]) -> str:
    """What an operator does about the jobs that `doctor --orphans` names."""
    context = open_context(Settings.from_env())
    client = context.clients.get(arguments["provider"])
    orphans = list(find_orphans(context, arguments["provider"], None, _JOBS))
    for job in orphans:
        if job.status.is_final:
            client.delete(job)
            if job.upload is not None:
                client.delete_upload(job.upload)
        else:
            client.cancel(job.id)
    return " ".join(job.id for job in orphans)


def _run(command: str, arguments: dict[str, Any]) -> str:
    match command:
        case "submit":
            return _submit(arguments)
        case "submit linked":
            return _submit(arguments, **links(broker_server(Settings.from_env()).url))
        case "rebuild":
            return _rebuild()
        case "orphans":
            return _end_orphans(arguments)
    return _command(command, arguments)


if __name__ == "__main__":
    what, given, heard = sys.argv[1:]
    try:
        said = _run(what, json.loads(given))
    except BatchRouterError as error:
        said = error.type
    Path(heard).write_text(said)
