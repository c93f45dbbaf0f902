"""An app that submits one batch: `python -m tests.drills.caller ARGUMENTS`, JSON of what `submit_batch.delay` takes."""

import json
import sys

from .worker import app  # noqa: F401 - tells what happens

if __name__ == "__main__":
    from workers.tasks import submit_batch

    print(submit_batch.delay(**json.loads(sys.argv[1])).id)
