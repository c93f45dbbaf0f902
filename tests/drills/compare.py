"""The storm over plain Celery chains: the same kills from the same seed, and what is lost and paid twice."""

import json
import threading
import time
from collections import Counter
from pathlib import Path

from .drill import Outcome
from .invariants import Findings, token_of
from .stack import PROMPT, Stack, requests_of
from .storm import PROVIDERS, Share, kill_all

FAULT = "plain Celery: kill at random"
_ROWS = 3
# As long as two lookings for unacknowledged messages, after the last kill: what is not there by then does not come.
_LAST_WAIT = 240.0
# A shard that takes longer is not waited for before the next one.
_PATIENCE = 10.0


def run_plain_storm(stack: Stack, share: Share) -> list[Outcome]:
    """One outcome a kill, and one for all shards together."""
    over = threading.Event()
    shards: list[Path] = []
    loads = [threading.Thread(target=_load, args=(stack, number, shards, over)) for number in range(len(PROVIDERS))]
    for load in loads:
        load.start()
    struck = kill_all(stack.fleet, share)
    over.set()
    for load in loads:
        load.join()
    deadline = time.monotonic() + _LAST_WAIT
    while time.monotonic() < deadline and not all(map(_is_done, shards)):
        time.sleep(0.5)
    return [Outcome(FAULT, f"{FAULT} {share.seed}", Findings()) for _ in struck] + [
        Outcome(FAULT, f"{FAULT} {share.seed}: {len(shards)} shards", _check(stack, shards), runs=0)
    ]


def _load(stack: Stack, number: int, shards: list[Path], over: threading.Event) -> None:
    count = 0
    while not over.is_set():
        count += 1
        shard = stack.home / f"{number}-{count}.jsonl"
        shard.write_text("".join(json.dumps(_row(row)) + "\n" for row in range(_ROWS)))
        shards.append(shard)
        stack.nursery.start("tests.drills.plain", [str(shard)], stack.home / "caller.log")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not _is_done(shard):
            time.sleep(0.2)


def _row(number: int) -> dict[str, object]:
    body = {"model": "model-1", "messages": [{"role": "user", "content": f"{PROMPT} {number}"}]}
    return {"custom_id": f"row {number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def _is_done(shard: Path) -> bool:
    return shard.with_suffix(".results").exists()


def _check(stack: Stack, shards: list[Path]) -> Findings:
    lost = duplicated = 0
    for shard in shards:
        lines = shard.with_suffix(".results").read_text().splitlines() if _is_done(shard) else []
        came = Counter(json.loads(line)["custom_id"] for line in lines)
        lost += _ROWS - len(came)
        duplicated += sum(came.values()) - len(came)
    jobs = Counter(token_of(request) for request in requests_of(stack) if "job" in request)
    return Findings(lost, duplicated, created_twice=sum(count - 1 for count in jobs.values()))
