"""Peak memory of one step in a process of its own: `python -m tests.bench.memory convert|normalize HOME URL`."""

import sys
from pathlib import Path

from ..memory import peak_memory
from .road import (
    claim_answered,
    convert_and_commit,
    finish_and_commit,
    normalize_and_commit,
    open_road,
    shards_of,
    submit_file,
)

if __name__ == "__main__":
    step, home, url = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    context = open_road(home, url)
    if step == "convert":
        convert_and_commit(context, submit_file(context, home / "rows.jsonl"))
    else:
        for shard in shards_of(context):
            normalize_and_commit(context, claim_answered(context, shard))
        finish_and_commit(context)
    print(peak_memory())
