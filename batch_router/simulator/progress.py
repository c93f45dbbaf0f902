"""How far a job has come: a function of the time since its creation, with no timer that could be late."""

from typing import Any, Protocol

from .scenario import Scenario


class Timed(Protocol):
    """What a job's progress depends on."""

    created_at: float
    offsets: list[int]
    errors: list[dict[str, Any]]
    cancelled_at: float | None


class Progress:
    """Where a job stands at a moment, in OpenAI's words; the other providers translate them.

    Attributes:
        started: when validation ends.
        finalizing: when the last row is answered.
        ended: when the results are ready.
        cancelled: when a cancelled job ends.
    """

    def __init__(self, job: Timed, scenario: Scenario, now: float) -> None:
        latency = scenario.latency
        self._job = job
        self._most_answered = 1.0 if scenario.expire_after is None else scenario.expire_after
        self._last_status = "completed" if scenario.expire_after is None else "expired"
        self._now = now
        self.started = job.created_at + latency.validating
        self.finalizing = self.started + latency.in_progress
        self.ended = self.finalizing + latency.finalizing
        self.cancelled = (job.cancelled_at or 0) + latency.cancelling

    @property
    def status(self) -> str:
        """`validating`, `in_progress` and so on."""
        if self._job.cancelled_at is not None:
            return "cancelled" if self._now >= self.cancelled else "cancelling"
        if self._now < self.started:
            return "validating"
        if self._job.errors:
            return "failed"
        if self._now < self.finalizing:
            return "in_progress"
        return "finalizing" if self._now < self.ended else self._last_status

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended with rows that can be written."""
        return self.status in ("completed", "expired", "cancelled")

    @property
    def answered(self) -> int:
        """How many rows have been answered."""
        now = min(self._now, self._job.cancelled_at or self._now)
        if now < self.started or self._job.errors:
            return 0
        done = now >= self.finalizing
        share = 1.0 if done else (now - self.started) / (self.finalizing - self.started)
        return int(len(self._job.offsets) * min(share, self._most_answered))
