"""Statuses on a terminal: live while they change, a line per change where there is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live

from ..core import BatchStatus, BatchStatusResponse, ShardStatus
from .terminal import line, table

_MOST_SHARDS = 12
_NUMBERS = ("rows", "done", "rows/s", "left")
_COLOURS = {
    BatchStatus.COMPLETED: "green",
    BatchStatus.FAILED: "red",
    BatchStatus.CANCELLED: "yellow",
    BatchStatus.EXPIRED: "yellow",
    BatchStatus.PARKED: "red",
}


def render(status: BatchStatusResponse) -> RenderableType:
    """A status for people."""
    parts: list[RenderableType] = [_headline(status)]
    if status.shards:
        parts.append(_shard_table(status))
    if status.waiting_for:
        parts.append(line("  ", (status.waiting_for, "yellow")))
    if status.error:
        parts.append(line("  ", (f"{status.error.type}: {status.error.message}", "red")))
        parts.extend(line("    ", problem) for problem in status.error.problems)
    return Group(*parts)


def summary(status: BatchStatusResponse) -> str:
    """A status in one line."""
    counts = status.request_counts
    numbers = [f"{counts.succeeded}/{counts.total} succeeded"]
    numbers += [
        f"{number} {word}"
        for word, number in (
            ("errored", counts.errored),
            ("cancelled", counts.cancelled),
            ("expired", counts.expired),
        )
        if number
    ]
    return f"{status.batch_id}  {status.provider}  {status.status.value}  {', '.join(numbers)}"


@contextmanager
def follow(console: Console) -> "Iterator[Follower]":
    """Show statuses as they arrive."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=8) as live:
            yield Follower(console, live)
    else:
        yield Follower(console, None)


class Follower:
    """Shows each status of a wait; without a terminal, only what has changed."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._last: dict[str, str] = {}

    def __call__(self, *statuses: BatchStatusResponse) -> None:
        """Show the states of the batches."""
        if self._live is not None:
            self._live.update(Group(*(render(status) for status in statuses)))
            return
        for status in statuses:
            steps = [f"{shard.id} {shard.state}{_pace(shard)}" for shard in status.shards]
            line = "; ".join([summary(status), *steps, *([status.waiting_for] if status.waiting_for else [])])
            if line != self._last.get(status.batch_id):
                self._console.print(line, soft_wrap=True)
                self._last[status.batch_id] = line


def _pace(shard: ShardStatus) -> str:
    if shard.rows_per_s is None:
        return ""
    return f" {shard.completed}/{shard.rows}, {shard.rows_per_s} rows/s, {shard.eta_s} s left"


def _headline(status: BatchStatusResponse) -> RenderableType:
    counts = status.request_counts
    words = (("errored", counts.errored), ("cancelled", counts.cancelled), ("expired", counts.expired))
    return line(
        (status.batch_id, "bold"),
        f"  {status.provider}  ",
        (status.status.value, _COLOURS.get(status.status, "cyan")),
        f"  {counts.total - counts.processing}/{counts.total} requests",
        *((f", {number} {word}", "yellow") for word, number in words if number),
    )


def _shard_table(status: BatchStatusResponse) -> RenderableType:
    shown = table("shard", "state", *_NUMBERS, "job", "its status", right=_NUMBERS)
    for shard in status.shards[:_MOST_SHARDS]:
        shown.add_row(
            shard.id,
            shard.state,
            str(shard.rows),
            str(shard.completed + shard.failed),
            "" if shard.rows_per_s is None else str(shard.rows_per_s),
            "" if shard.eta_s is None else f"{shard.eta_s} s",
            shard.job_id or "",
            shard.job_status or "",
        )
    hidden = len(status.shards) - _MOST_SHARDS
    if hidden > 0:
        shown.add_row(f"... {hidden} more", *[""] * 7)
    return shown
