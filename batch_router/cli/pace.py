"""How far a batch is, how fast it goes, and how long it still takes, as a terminal shows it."""

import time

from ..core import BatchStatusResponse
from ..core.times import seconds_of
from .terminal import brief

_WIDTH = 24


class Pace:
    """The pace of one batch while it is watched.

    Attributes:
        done: rows that have ended. What was counted once is never counted back: rows that are sent again, or an engine
            that starts again, do not make a batch less done for who watches it.
        rate: rows per second; None: unknown.
    """

    def __init__(self) -> None:
        self.done = 0
        self.rate: float | None = None
        self._from: tuple[float, int] | None = None

    def look(self, status: BatchStatusResponse, now: float) -> None:
        """Take in a status.

        Args:
            status: of the batch.
            now: seconds of any clock that only goes forward.
        """
        done = max(self.done, status.request_counts.total - status.request_counts.processing)
        if self._from is not None and done > self._from[1]:
            self.rate = (done - self._from[1]) / max(1e-3, now - self._from[0])
        elif done > self.done > 0:
            self._from = (now, done)  # what came before the first look, or in one piece, tells no pace
        self.done = done
        rates = [shard.rows_per_s for shard in status.shards if shard.rows_per_s]
        if rates:
            self.rate = sum(rates)

    def describe(self, status: BatchStatusResponse) -> str:
        """A bar, and the numbers that are known: `[######------] 50%  12.3 rows/s  1m 4s elapsed  20s left`."""
        total = status.request_counts.total
        parts = [_bar(self.done / total)] if total else []
        if self.rate and not status.is_complete():
            parts.append(f"{self.rate:,.1f} rows/s")
        parts.append(f"{brief(_elapsed(status))} elapsed")
        if self.rate and self.done < total:
            parts.append(f"{brief((total - self.done) / self.rate)} left")
        return "  ".join(parts)


def _bar(share: float) -> str:
    filled = int(share * _WIDTH)
    return f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {int(share * 100)}%"


def _elapsed(status: BatchStatusResponse) -> float:
    end = seconds_of(status.completed_at) if status.completed_at else time.time()
    return end - seconds_of(status.created_at)
