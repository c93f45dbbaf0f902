"""Statuses on a terminal: live while they change, a line per change where there is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..core import BatchStatus, BatchStatusResponse, ShardStatus

_MOST_SHARDS = 12
_NUMBERS = ("rows", "done", "rows/s", "left")
_COLOURS = {
    BatchStatus.COMPLETED: "green",
    BatchStatus.FAILED: "red",
    BatchStatus.CANCELLED: "yellow",
    BatchStatus.EXPIRED: "yellow",
    BatchStatus.PARKED: "red",
}


def stderr() -> Console:
    """The console for everything that is not a result."""
    return Console(stderr=True, highlight=False)


def render(status: BatchStatusResponse) -> RenderableType:
    """A status for people."""
    parts: list[RenderableType] = [_headline(status)]
    if status.shards:
        parts.append(_shard_table(status))
    if status.waiting_for:
        parts.append(Text(f"  {status.waiting_for}", style="yellow"))
    if status.error:
        parts.append(Text(f"  {status.error.type}: {status.error.message}", style="red"))
        parts.extend(Text(f"    {problem}") for problem in status.error.problems)
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


def _headline(status: BatchStatusResponse) -> Text:
    text = Text()
    text.append(status.batch_id, style="bold")
    text.append(f"  {status.provider}  ")
    text.append(status.status.value, style=_COLOURS.get(status.status, "cyan"))
    counts = status.request_counts
    done = counts.total - counts.processing
    text.append(f"  {done}/{counts.total} requests")
    for word, number in (("errored", counts.errored), ("cancelled", counts.cancelled), ("expired", counts.expired)):
        if number:
            text.append(f", {number} {word}", style="yellow")
    return text


def _shard_table(status: BatchStatusResponse) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for column in ("shard", "state", "rows", "done", "rows/s", "left", "job", "its status"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for shard in status.shards[:_MOST_SHARDS]:
        table.add_row(
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
        table.add_row(f"... {hidden} more", *[""] * 7)
    return table
