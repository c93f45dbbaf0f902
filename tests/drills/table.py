"""What `make drill` says: a row per fault, for people and for programs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from .drill import Outcome

_COUNTS = ("lost", "duplicated", "created_twice", "paid_twice", "undone", "parked")
#: What a row has; `recovery_s` and `doubtful_s` are the worst.
COLUMNS = ("fault", "runs", *_COUNTS, "recovery_s", "recovery_median_s", "doubtful_s", "doubtful_median_s")
# The part of the runs of a drill that may end parked where it does not ask for that.
_MAY_PARK = 0.01


def rows_of(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """One row per fault, in the order in which the faults came."""
    by_fault: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_fault.setdefault(outcome.fault, []).append(outcome)
    return [_row(fault, found) for fault, found in by_fault.items()]


def _row(fault: str, found: Sequence[Outcome]) -> dict[str, Any]:
    runs = sum(outcome.runs for outcome in found)
    problems = [f"{o.name}: {problem}" for o in found for problem in o.findings.problems]
    parked = [outcome.name for outcome in found if outcome.findings.parked and not outcome.may_park]
    if len(parked) > _MAY_PARK * runs:
        problems.append(f"parked: {'; '.join(parked)}")
    return {
        "fault": fault,
        "runs": runs,
        **{name: sum(getattr(outcome.findings, name) for outcome in found) for name in _COUNTS},
        **_times("recovery", [outcome for outcome in found if not outcome.doubtful]),
        **_times("doubtful", [outcome for outcome in found if outcome.doubtful]),
        "problems": problems,
    }


def _times(name: str, found: Sequence[Outcome]) -> dict[str, float | None]:
    """The worst and the median time."""
    times = [outcome.recovery_s for outcome in found if outcome.recovery_s is not None]
    worst, middle = (max(times), median(times)) if times else (None, None)
    return {f"{name}_s": worst and round(worst, 1), f"{name}_median_s": middle and round(middle, 1)}


def is_bad(row: dict[str, Any]) -> bool:
    """Whether a row says that the promise was broken."""
    return any(row[name] for name in ("lost", "duplicated", "created_twice", "paid_twice", "problems"))


def write(rows: Sequence[dict[str, Any]]) -> None:
    """To build/drill.json."""
    build = Path("build")
    build.mkdir(exist_ok=True)
    (build / "drill.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows)))


def show(rows: Sequence[dict[str, Any]], seed: str) -> None:
    """The table, and below it whatever is wrong, in words."""
    console = Console(width=150)
    table = Table(title=f"make drill SEED={seed}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "fault" else "right")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in COLUMNS))
    console.print(table)
    for row in rows:
        for problem in row["problems"]:
            console.print(f"{row['fault']}: {problem}", markup=False)
