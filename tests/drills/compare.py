"""The same kills on plain Celery chains, at random and at each effect, and what is lost and paid twice."""

import json
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from .bill import paid_twice
from .courses import prompt_of
from .drill import Outcome
from .invariants import Findings, token_of
from .stack import Stack, requests_of
from .storm import PROVIDERS, Share, kill_under_load
from .trace import Plan

#: What all rows of the comparison begin with.
PLAIN = "plain Celery: "
FAULT = f"{PLAIN}kill at random"
_EFFECTS = (
    *("upload/client.upload", "upload/publish", "create/client.create", "create/publish", "poll/client.get"),
    *("poll/publish", "download/client.download", "download/write results"),
)
_ROWS = 3
# As long as two lookings for unacknowledged messages, after the last kill: what is not there by then does not come.
_LAST_WAIT = 240.0
# A shard that takes longer is not waited for before the next one.
_PATIENCE = 10.0


def run_plain_storm(stack: Stack, share: Share) -> list[Outcome]:
    """One outcome a kill, and one for all shards together."""
    shards: list[Path] = []
    loads = [partial(_load, stack, number, shards) for number in range(len(PROVIDERS))]
    struck = kill_under_load(stack.fleet, share, loads)
    deadline = time.monotonic() + _LAST_WAIT
    while time.monotonic() < deadline and not all(map(_is_done, shards)):
        time.sleep(0.5)
    return [Outcome(FAULT, f"{FAULT} {share.seed}", Findings()) for _ in struck] + [
        Outcome(FAULT, f"{FAULT} {share.seed}: {len(shards)} shards", _check(stack, shards), runs=0)
    ]


class PlainKill(NamedTuple):
    """A kill at an effect of the chain."""

    when: Literal["before", "after"]
    effect: str

    def __str__(self) -> str:
        return f"plain Celery: kill {self.when} {self.effect}"


PLAIN_KILLS = [PlainKill(when, effect) for effect in _EFFECTS for when in ("before", "after")]


def run_plain_kill(stack: Stack, kill: PlainKill) -> list[Outcome]:
    """One shard; it is waited for until no message is left, as a repeated one may come late."""
    name = stack.new_id("shard")
    shard = _write_shard(stack, name)
    plan = Plan(id=name, when=kill.when, effect=kill.effect, batch=name, do="kill")
    with stack.planned(plan):
        stack.nursery.start("tests.drills.plain", [str(shard)], stack.home / "caller.log")
        deadline = time.monotonic() + _LAST_WAIT
        while time.monotonic() < deadline and not (_is_done(shard) and _is_quiet(stack)):
            time.sleep(0.5)
    fired = stack.fired(plan)
    if fired is None:
        return [Outcome(f"{PLAIN}kill at {kill.effect}", str(kill), Findings(problems=("never reached",)))]
    later = (event.at - fired.at for event in stack.events() if event.at > fired.at and event.worker != fired.worker)
    return [Outcome(f"{PLAIN}kill at {kill.effect}", str(kill), _check(stack, [shard]), next(later, None))]


def _is_quiet(stack: Stack) -> bool:
    return not any(stack.broker.exists(key) for key in ("unacked", "io"))


def _load(stack: Stack, number: int, shards: list[Path], over: threading.Event) -> None:
    count = 0
    while not over.is_set():
        count += 1
        shard = _write_shard(stack, f"{number}-{count}")
        shards.append(shard)
        stack.nursery.start("tests.drills.plain", [str(shard)], stack.home / "caller.log")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not _is_done(shard):
            time.sleep(0.2)


def _write_shard(stack: Stack, name: str) -> Path:
    shard = stack.home / f"{name}.jsonl"
    shard.write_text("".join(json.dumps(_row(name, row)) + "\n" for row in range(_ROWS)))
    return shard


def _row(name: str, number: int) -> dict[str, object]:
    body = {"model": "model-1", "messages": [{"role": "user", "content": prompt_of(name, number)}]}
    return {"custom_id": f"row {number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def _is_done(shard: Path) -> bool:
    return shard.with_suffix(".results").exists()


def _check(stack: Stack, shards: list[Path]) -> Findings:
    lost = duplicated = 0
    for shard in shards:
        lines = shard.with_suffix(".results").read_bytes().split(b"\n")[:-1] if _is_done(shard) else []
        came = Counter(json.loads(line)["custom_id"] for line in lines)
        lost += _ROWS - len(came)
        duplicated += sum(came.values()) - len(came)
    ours = {shard.stem for shard in shards}
    jobs = Counter(token_of(request) for request in requests_of(stack) if "job" in request)
    twice = sum(count - 1 for name, count in jobs.items() if name in ours)
    return Findings(lost, duplicated, twice, sum(paid_twice(stack, name, ()) for name in ours))
