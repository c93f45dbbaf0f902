"""An app that submits one batch: `python -m tests.drills.caller ARGUMENTS HEARD`.

ARGUMENTS is JSON of what `submit_batch.delay` takes; the file HEARD gets what came of it.
"""

import json
import sys
from pathlib import Path

from batch_router.exceptions import BatchRouterError

from .worker import app  # noqa: F401 - tells what happens

if __name__ == "__main__":
    from workers.tasks import submit_batch

    try:
        said = submit_batch.delay(**json.loads(sys.argv[1])).id
    except BatchRouterError as error:
        said = error.type
    Path(sys.argv[2]).write_text(said)
