"""`make drill`: every fault of the registry and the list, random kills, and the same kills on plain Celery chains.

`SEED=` replays the random kills of an earlier run, `KILLS=` says how many. Prints a table and writes build/drill.json;
the exit code is 1 if the protocol lost anything, paid for it twice, or did something that no drill foresees.
"""

import os
import secrets
import sys

from .compare import FAULT as PLAIN
from .compare import run_plain_storm
from .drill import Drill, Outcome, kill_drills, run_kill
from .effects import NAMES
from .faults import NAMED, Named, run_named
from .fleet import Fleet
from .invariants import Findings
from .outages import OUTAGES, Outage, run_outage
from .pool import Pool
from .stack import Stack
from .stop import run_stop, stop_drills
from .storm import run_storm
from .table import rows_of, show, write

# Stacks side by side: most of a drill is waiting for a lease to end.
_STACKS = 8
_MIXED = ("threads", "prefork") * (_STACKS // 2)
_THREADS = ("threads",) * _STACKS
_STORM = "kill at random"


def main() -> None:
    """Everything; about half an hour."""
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    kills = int(os.environ.get("KILLS") or 200)
    print(f"SEED={seed} KILLS={kills}", flush=True)
    pool = Pool()
    pool.run(kill_drills(), _MIXED, _kill)
    pool.run(stop_drills(), _THREADS, _stop)
    pool.run(NAMED, _THREADS, _named)
    pool.run(OUTAGES, _THREADS[: len(OUTAGES)], _outage)
    never = sorted(NAMES - pool.seen)
    pool.outcomes.append(Outcome("the registry", "the registry", Findings(problems=tuple(map(_unseen, never)))))
    shares = [(f"{seed}:{number}", kills // _STACKS + (number < kills % _STACKS)) for number in range(_STACKS)]
    pool.run(shares, _MIXED, _storm)
    plain = Pool()
    plain.run(shares, _THREADS, _plain, app="tests.drills.plain")
    rows = rows_of([*pool.outcomes, *plain.outcomes])
    write(rows)
    show(rows, seed)
    sys.exit(any(is_bad(row) for row in rows if row["fault"] != PLAIN))


def is_bad(row: dict[str, object]) -> bool:
    """Whether a row says that the promise was broken."""
    return any(row[name] for name in ("lost", "duplicated", "created_twice", "problems"))


def _kill(stack: Stack, fleet: Fleet, drill: Drill) -> list[Outcome]:
    return [run_kill(stack, drill)]


def _stop(stack: Stack, fleet: Fleet, drill: Drill) -> list[Outcome]:
    return [run_stop(stack, drill)]


def _named(stack: Stack, fleet: Fleet, named: Named) -> list[Outcome]:
    return [run_named(stack, named)]


def _outage(stack: Stack, fleet: Fleet, outage: Outage) -> list[Outcome]:
    return run_outage(stack, outage)


def _storm(stack: Stack, fleet: Fleet, share: tuple[str, int]) -> list[Outcome]:
    return run_storm(stack, fleet, *share, _STORM)


def _plain(stack: Stack, fleet: Fleet, share: tuple[str, int]) -> list[Outcome]:
    return run_plain_storm(stack, fleet, *share)


def _unseen(name: str) -> str:
    return f"never reached: {name}"


if __name__ == "__main__":
    main()
