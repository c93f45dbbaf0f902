"""A Message Batch, and how the API describes it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..progress import Progress
from ..scenario import Scenario

_DAY = 24 * 3600


@dataclass
class MessageBatch:
    """A batch at the provider.

    Attributes:
        version: the `anthropic-version` of the request that created it; its rows are checked by that version's rules.
        rows: its requests, one per line.
        results: its answers, once it has ended.
        offsets: where the rows begin, in the order in which they are answered.
        errors: always empty; a Message Batch that was accepted does not fail.
        first_row: the id of the first request as it was sent; the request log shows it.
        counts: how the rows ended, once all have.
    """

    id: str
    version: str
    rows: Path
    results: Path
    created_at: float
    first_row: str = ""
    offsets: list[int] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled_at: float | None = None
    counts: dict[str, int] | None = None


def describe(batch: MessageBatch, scenario: Scenario, now: float, results_url: str) -> dict[str, Any]:
    """The batch object of the API; until all rows have ended, they count as processing."""
    progress = Progress(batch, scenario, now)
    counts = batch.counts
    waiting = {"processing": len(batch.offsets), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    ended_at = progress.cancelled if batch.cancelled_at is not None else progress.ended
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if counts else "canceling" if batch.cancelled_at else "in_progress",
        "request_counts": counts or waiting,
        "ended_at": _time(ended_at) if counts else None,
        "created_at": _time(batch.created_at),
        "expires_at": _time(batch.created_at + _DAY),
        "archived_at": None,
        "cancel_initiated_at": _time(batch.cancelled_at) if batch.cancelled_at else None,
        "results_url": results_url if counts else None,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
