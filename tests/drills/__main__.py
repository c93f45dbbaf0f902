"""`make drill`: every fault of the registry and the list, random kills, and the same kills on plain Celery chains.

`SEED=` replays the random kills of an earlier run, `KILLS=` says how many. Prints a table and writes build/drill.json;
the exit code is 1 if the protocol lost anything, paid for it twice, or did something that no drill foresees.
"""

import os
import secrets
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from . import services
from .broken import BROKEN
from .busy import run_busy
from .compare import PLAIN, PLAIN_KILLS, run_plain_kill, run_plain_storm
from .drill import Outcome, kill_drills, run_kill
from .effects import EFFECTS
from .faults import NAMED, run_named
from .forgetting import log_drills, replica_drills, run_forget
from .forgotten import run_unsaid, unsaid_drills
from .invariants import Findings
from .meeting import meetings, purge_drills, run_meeting, run_purge
from .operators import PAIRS, run_pair
from .outages import CLOCKS, OUTAGES, run_outage
from .pool import Pool
from .refusing import REFUSALS
from .services import FOR_MINUTES, OWN_BOUNDS, SERVICES
from .stop import run_stop, run_undo, stop_drills, undo_drills
from .storm import Share, run_storm
from .table import is_bad, rows_of, show, write
from .twice import run_twice, twice_drills

# Stacks side by side: most of a drill is waiting for a lease to end.
_STACKS = 8
_MIXED = ("threads", "prefork") * (_STACKS // 2)
_THREADS = ("threads",) * _STACKS
_REPLICAS = ("replica",) * _STACKS


def main() -> None:
    """Everything; about an hour."""
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    kills = int(os.environ.get("KILLS") or 200)
    print(f"SEED={seed} KILLS={kills}", flush=True)
    shares = [Share(f"{seed}:{number}", kills // _STACKS + (number < kills % _STACKS)) for number in range(_STACKS)]
    pool, plain = Pool(), Pool(known=None)
    _kill_and_stop(pool)
    with ThreadPoolExecutor() as side_by_side:  # these wait for messages that come late, or minutes, and do little else
        side_by_side.submit(_compare, plain, shares)
        side_by_side.submit(_wait_for_minutes, pool)
        _break_the_rest(pool)
    pool.run(shares, _MIXED, run_storm)
    pool.run([share.half() for share in shares], _MIXED, run_busy)
    never = sorted({effect.name for effect in EFFECTS if effect.by != "race"} - pool.seen)
    pool.outcomes.append(Outcome("the registry", "the registry", Findings(problems=tuple(map(_unseen, never)))))
    rows = rows_of([*pool.outcomes, *plain.outcomes])
    write(rows)
    show(rows, seed)
    sys.exit(any(is_bad(row) for row in rows if not row["fault"].startswith(PLAIN)))


def _kill_and_stop(pool: Pool) -> None:
    """Processes die or sleep at each effect, or commands come there."""
    pool.run(kill_drills(), _MIXED, run_kill)
    pool.run(stop_drills(), _THREADS, run_stop)
    pool.run(undo_drills(), _THREADS[: len(undo_drills())], run_undo)
    pool.run(twice_drills(), _MIXED, run_twice)
    pool.run(meetings(), _THREADS, run_meeting)
    pool.run(purge_drills(), _THREADS, run_purge)


def _break_the_rest(pool: Pool) -> None:
    """Services, servers, storage, commands."""
    pool.run(NAMED, _THREADS, run_named)
    pool.run(SERVICES, _THREADS, run_named, **services.SETTINGS)
    pool.run(log_drills(), _THREADS, run_forget)
    pool.run(replica_drills(), _REPLICAS, run_forget)
    pool.run(unsaid_drills(), _THREADS, run_unsaid)
    with ThreadPoolExecutor() as side_by_side:
        side_by_side.submit(pool.run, PAIRS, _THREADS[:2], run_pair)
        side_by_side.submit(pool.run, (*OUTAGES, *REFUSALS, *BROKEN), _THREADS[:6], run_outage)
        for fleet, outage in CLOCKS.items():
            side_by_side.submit(pool.run, [outage], [fleet], run_outage)


def _wait_for_minutes(pool: Pool) -> None:
    """Services that are behind at full length."""
    pool.run(FOR_MINUTES, ("threads",) * len(FOR_MINUTES), run_named, **OWN_BOUNDS)


def _compare(plain: Pool, shares: Sequence[Share]) -> None:
    """The same kills without the protocol."""
    plain.run(PLAIN_KILLS, _THREADS[:4], run_plain_kill, "tests.drills.plain")
    plain.run(shares, _THREADS[:4], run_plain_storm, "tests.drills.plain")


def _unseen(name: str) -> str:
    return f"never reached: {name}"


if __name__ == "__main__":
    main()
