"""A few drills of `make drill`, others in every run, with the lease that users have; and the registry."""

import os
import random
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from .courses import COURSES
from .drill import Drill, Outcome, kill_drills, run_kill
from .effects import EFFECTS, NAMES
from .forgetting import log_drills, run_forget
from .forgotten import Unsaid, run_unsaid, unsaid_drills
from .meeting import Meeting, meetings, purge_drills, run_meeting, run_purge
from .operators import PAIRS, Pair, run_pair
from .pool import Pool
from .stack import Stack
from .stop import run_stop, stop_drills, undo_drills
from .table import is_bad, rows_of, show

_KILLS = 2
# Where nothing is in doubt afterwards, which takes as long as a request may be late.
_QUICK_TO_FORGET = ("poll/", "download/", "normalize/", "clean/", "finish/")
# These wait until a request to create can no longer arrive, or fetch the same answers again and again.
_SLOW_COURSES = ("create vanished", "cut short", "row retries")
_SLOW = (("before", "create/client.create"), ("after", "create/store.reserve intent"))


def choose(drills: Sequence[Drill], count: int, chance: random.Random) -> list[Drill]:
    quick = [d for d in drills if d.effect.course not in _SLOW_COURSES and (d.when, d.effect.name) not in _SLOW]
    return chance.sample(quick, count)


def choose_command(chance: random.Random) -> Pair | Meeting | Unsaid:
    """What an operator says: struck by another one, in the midst of a step, or forgotten."""
    met = [meeting for meeting in meetings() if meeting.effect.course not in _SLOW_COURSES]
    unsaid = [drill for drill in unsaid_drills() if drill.effect.course not in _SLOW_COURSES]
    families: tuple[Sequence[Pair | Meeting | Unsaid], ...] = (PAIRS, met, unsaid)
    return chance.choice(chance.choice(families))


def run_any(stack: Stack, drill: Drill | Pair | Meeting | Unsaid) -> list[Outcome]:
    match drill:
        case Pair():
            return run_pair(stack, drill)
        case Meeting():
            return run_meeting(stack, drill)
        case Unsaid():
            return run_unsaid(stack, drill)
    return run_kill(stack, drill)


def test_every_effect_has_a_drill() -> None:
    """The registry names each effect once, on a course that there is, and each is struck."""
    assert len(NAMES) == len(EFFECTS)
    assert {effect.course for effect in EFFECTS} <= COURSES.keys()
    struck = {drill.effect.name for drill in (*kill_drills(), *stop_drills(), *undo_drills())}
    assert struck == {effect.name for effect in EFFECTS if effect.by not in ("race", "forgetting")}


@pytest.mark.timeout(600)  # stacks side by side, each of many processes: minutes on a busy machine
def test_a_few_kills_and_stops_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Workers killed or stopped at some effects, commands, a server that forgets: nothing is lost or paid twice.

    It also fails where a drill never reached its effect, and where a trace shows an effect that the registry lacks.
    """
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    chance = random.Random(seed)
    created = [d for d in kill_drills() if (d.when, d.effect.name) == ("after", "create/client.create")]
    pool = Pool()
    kills = [choose_command(chance), chance.choice(created), *choose(kill_drills(), _KILLS, chance)]
    forgets = [drill for drill in log_drills() if drill.effect.name.startswith(_QUICK_TO_FORGET)]
    with ThreadPoolExecutor() as side_by_side:
        side_by_side.submit(pool.run, kills, ("threads", "prefork"), run_any)
        side_by_side.submit(pool.run, choose(stop_drills(), 1, chance), ("threads",), run_stop)
        side_by_side.submit(pool.run, choose(purge_drills(), 1, chance), ("threads",), run_purge)
        side_by_side.submit(pool.run, [chance.choice(forgets)], ("threads",), run_forget)
    rows = rows_of(pool.outcomes)
    show(rows, seed)
    assert not any(map(is_bad, rows)), capsys.readouterr().out
