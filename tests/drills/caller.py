"""What happens outside the fleet: `python -m tests.drills.caller submit|purge ARGUMENTS HEARD`.

ARGUMENTS is JSON of what `submit_batch.delay` or `BatchClient.purge` takes; the file HEARD gets what came of it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from batch_router.client import BatchClient
from batch_router.exceptions import BatchRouterError
from batch_router.settings import Settings

from .trace import open_traced_context
from .worker import app  # noqa: F401 - tells what happens


def _submit(arguments: dict[str, Any]) -> str:
    from workers.tasks import submit_batch

    return str(submit_batch.delay(**arguments).id)


def _purge(arguments: dict[str, Any]) -> str:
    with BatchClient(open_traced_context(Settings.from_env(), "purge")) as client:
        client.purge(**arguments)
    return "purged"


if __name__ == "__main__":
    what, given, heard = sys.argv[1:]
    try:
        said = {"submit": _submit, "purge": _purge}[what](json.loads(given))
    except BatchRouterError as error:
        said = error.type
    Path(heard).write_text(said)
