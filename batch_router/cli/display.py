"""Statuses on a terminal: live while they change; a line per change where there is no terminal."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live

from ..core import BatchStatus, BatchStatusResponse, NoticeStatus, ShardStatus, Tokens
from ..core.money import describe_cost
from .pace import Pace
from .terminal import grid, line, width_of

_MOST_SHARDS = 12  # on a terminal
_AROUND = 8  # lines of a status besides its shards
_COLUMNS = ("shard", "state", "rows", "done", "rows/s", "left", "job", "its status")
_NUMBERS = ("rows", "done", "rows/s", "left")
_COLOURS = {
    BatchStatus.COMPLETED: "green",
    BatchStatus.FAILED: "red",
    BatchStatus.CANCELLED: "yellow",
    BatchStatus.EXPIRED: "yellow",
    BatchStatus.PARKED: "red",
}
# Seconds between two lines about a batch, where there is no terminal.
_LINE_EVERY = 60.0
# Times and countdowns: a waiting message that differs in them alone says nothing new.
_NUMBER = re.compile(r"\d+")


def print_status(console: Console, status: BatchStatusResponse) -> None:
    """A status for people; whole where it does not go to a terminal."""
    pace = Pace()
    pace.look(status, time.monotonic())
    width = width_of(console)
    for each in _render(status, pace, width, len(status.shards) if width is None else _MOST_SHARDS):
        console.print(each, soft_wrap=width is None)


def summary(status: BatchStatusResponse) -> str:
    """A status in one line."""
    counts = status.request_counts
    numbers = [f"{counts.succeeded}/{counts.total} succeeded", *_failed(status)]
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
    """Shows each status of a wait; without a terminal, only what has changed, and at most one line a minute."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._paces: dict[str, Pace] = {}
        self._last: dict[str, tuple[float, str]] = {}

    def __call__(self, *statuses: BatchStatusResponse) -> None:
        """Show the states of the batches."""
        for status in statuses:
            self._paces.setdefault(status.batch_id, Pace()).look(status, time.monotonic())
        if self._live is not None:
            self._live.update(Group(*self._screen(statuses)))
        else:
            for status in statuses:
                self._tell(status)

    def _screen(self, statuses: Sequence[BatchStatusResponse]) -> Iterator[RenderableType]:
        """One batch with its shards, or of several two lines each, so that it fits the terminal."""
        shards = max(1, min(_MOST_SHARDS, (self._console.height - _AROUND) // 2)) if len(statuses) == 1 else 0
        for status in statuses:
            yield from _render(status, self._paces[status.batch_id], self._console.width, shards)

    def _tell(self, status: BatchStatusResponse) -> None:
        text = _one_line(status, self._paces[status.batch_id])
        kind, now = _NUMBER.sub("", status.waiting_for or ""), time.monotonic()
        told_at, told = self._last.get(status.batch_id, (-_LINE_EVERY, ""))
        is_news = f"{summary(status)} {kind}" != told
        if is_news and (status.is_complete() or now - told_at >= _LINE_EVERY):
            self._console.print(text, soft_wrap=True)
            self._last[status.batch_id] = (now, f"{summary(status)} {kind}")


def _one_line(status: BatchStatusResponse, pace: Pace) -> str:
    steps = [f"{shard.id} {shard.state}{_pace(shard)}" for shard in status.shards]
    waits = [status.waiting_for] if status.waiting_for else []
    headline = "".join(text for text, _ in _headline(status, pace))
    return "; ".join([f"{headline}  {pace.describe(status)}", *steps, *waits])


def _pace(shard: ShardStatus) -> str:
    if shard.rows_per_s is None:
        return ""
    return f" {shard.completed}/{shard.rows}, {shard.rows_per_s} rows/s, {shard.eta_s} s left"


def _render(status: BatchStatusResponse, pace: Pace, width: int | None, shards: int) -> Iterator[RenderableType]:
    yield line(*_headline(status, pace))
    yield line("  ", pace.describe(status))
    if status.metadata and shards:
        yield line("  ", ", ".join(f"{key}={value}" for key, value in status.metadata.items()))
    if status.shards and shards:
        yield from _shard_lines(status, width, shards)
    if status.tokens.answers or status.tokens.uncounted:
        yield line("  ", f"{_spent(status.tokens)}; {describe_cost(status.cost, status.known_cost)}")
    for reason in status.reasons:
        code = f" ({reason.code})" if reason.code else ""
        yield line("  ", (f"{reason.rows} errored: {reason.type}{code}", "yellow"))
    if status.waiting_for:
        yield line("  ", (status.waiting_for, "yellow"))
    if status.error:
        yield line("  ", (f"{status.error.type}: {status.error.message}", "red"))
        for problem in status.error.problems:
            yield line("    ", problem)
    yield from map(_notice, status.notices)


def _spent(tokens: Tokens) -> str:
    """As in `tokens: 1,200 in (400 cached), 300 out (100 reasoning)`."""
    taken = {"cached": tokens.cached_tokens, "written to the cache": tokens.cache_write_tokens}
    made = {"reasoning": tokens.reasoning_tokens}
    missing = f"; {tokens.uncounted:,} answers do not say theirs" if tokens.uncounted else ""
    return f"tokens: {tokens.input_tokens:,} in{_of(taken)}, {tokens.output_tokens:,} out{_of(made)}{missing}"


def _of(parts: Mapping[str, int]) -> str:
    named = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f" ({named})" if named else ""


def _notice(notice: NoticeStatus) -> RenderableType:
    """Whether the app got a message."""
    what = f"webhook {notice.event}" if notice.event else notice.task
    if notice.sent_at:
        answer = f", and the answer was {notice.answer}" if notice.answer else ""
        return line(f"  {what} was sent at {notice.sent_at}{answer}")
    tries = f" after {notice.attempts} tries" if notice.attempts > 1 else ""
    when = f"; next try at {notice.next_try}" if notice.next_try else ""
    why = f": {notice.error.message}" if notice.error else ""
    word = "was not sent" if notice.state == "failed" else "waits to be sent"
    return line("  ", (f"{what} {word}{tries}{why}{when}", "yellow"))


def _failed(status: BatchStatusResponse) -> list[str]:
    counts = status.request_counts
    words = (("errored", counts.errored), ("cancelled", counts.cancelled), ("expired", counts.expired))
    return [f"{number} {word}" for word, number in words if number]


def _headline(status: BatchStatusResponse, pace: Pace) -> list[tuple[str, str]]:
    return [
        (status.batch_id, "bold"),
        (f"  {status.provider}  ", ""),
        (status.status.value, _COLOURS.get(status.status, "cyan")),
        (f"  {pace.done}/{status.request_counts.total} requests", ""),
        *((f", {each}", "yellow") for each in _failed(status)),
    ]


def _shard_lines(status: BatchStatusResponse, width: int | None, most: int) -> Iterator[RenderableType]:
    yield from grid(_COLUMNS, [_cells(shard) for shard in status.shards[:most]], width=width, right=_NUMBERS)
    if (hidden := len(status.shards) - most) > 0:
        yield line(f"... {hidden} more shards; `batch-router status {status.batch_id} --json` has all")


def _cells(shard: ShardStatus) -> Sequence[str]:
    return (
        shard.id,
        shard.state,
        str(shard.rows),
        str(shard.completed + shard.failed),
        "" if shard.rows_per_s is None else str(shard.rows_per_s),
        "" if shard.eta_s is None else f"{shard.eta_s} s",
        shard.job_id or "",
        shard.job_status or "",
    )
