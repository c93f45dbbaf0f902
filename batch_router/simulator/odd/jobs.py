"""Oddities of a job as it is shown: each changes the well-formed description."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ..oddities import Elsewhere, EmptyIds, Miscounted, Numbers, Odd, Words
from .wire import Wire, get, put

_WRITE: dict[str, Callable[[float], Any]] = {
    "text": lambda value: str(int(value)),
    "float": float,
    "integer": int,
    "iso": lambda at: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
}


def turn_job(wire: Wire, job: dict[str, Any], odd: Odd) -> None:
    """Change what one oddity changes; oddities of other things change nothing."""
    match odd:
        case EmptyIds():
            for place in wire.files("any"):
                put(job, place, get(job, place) or "")
        case Numbers():
            _rewrite(get(job, wire.counts), "", odd.counts)
            _rewrite(get(job, wire.times), wire.time_suffix, odd.dates)
        case Words():
            status = str(get(job, wire.status))
            put(job, wire.status, odd.words.get(status, status))
        case Miscounted():
            counts = get(job, wire.counts)
            _add(counts, wire.succeeded, odd.succeeded)
            _add(counts, wire.failed, odd.failed)
        case Elsewhere():
            for place in wire.files("any"):
                before, slash, path = str(get(job, place)).partition("/v1/")
                if slash and before.startswith("http"):
                    put(job, place, f"{odd.host}/v1/{path}")


def _rewrite(holder: Any, suffix: str, form: str | None) -> None:
    """Write the numbers whose names end so in another form."""
    if form is None or not isinstance(holder, dict):
        return
    for name, value in holder.items():
        if name.endswith(suffix) and value is not None:
            holder[name] = _WRITE[form](_number(value))


def _number(value: int | str) -> float:
    """A count or a time, also one as text."""
    text = str(value)
    return float(text) if text.isdigit() else datetime.fromisoformat(text).timestamp()


def _add(counts: dict[str, Any], name: str, more: int) -> None:
    """Add to a count, which stays what it is: a number or text."""
    old = counts.get(name, "0" if any(isinstance(count, str) for count in counts.values()) else 0)
    if more:
        counts[name] = type(old)(int(old) + more)
