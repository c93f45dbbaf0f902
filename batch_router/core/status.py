"""How a batch stands."""

from typing import Any

import msgspec

from ..exceptions import ValidationError
from .enums import BatchStatus


class RequestCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of a batch stand."""

    total: int
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    cancelled: int = 0
    expired: int = 0

    def __post_init__(self) -> None:
        if self.total < 0:
            raise ValidationError("total must not be negative")
        known = self.processing + self.succeeded + self.errored + self.cancelled + self.expired
        if known > self.total:
            raise ValidationError(f"the counts add up to {known}, more than the total of {self.total}")


class BatchStatusResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a batch; times are ISO 8601 in UTC.

    Attributes:
        error: `{"type", "message"}` of what ended or holds up the batch.
        shards: one row per shard: id, state, what it waits for.
        waiting_for: why nothing moves, in a sentence, where something is amiss.
        timeout: seconds after which its user wants it cancelled, counted from `created_at`.
        provider_data: what else the provider said.
    """

    batch_id: str
    provider: str
    status: BatchStatus
    request_counts: RequestCounts
    created_at: str
    completed_at: str | None = None
    expires_at: str | None = None
    error: dict[str, Any] | None = None
    waiting_for: str | None = None
    shards: list[dict[str, Any]] = msgspec.field(default_factory=list)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    timeout: float | None = None
    provider_data: dict[str, Any] = msgspec.field(default_factory=dict)

    def is_complete(self) -> bool:
        """Whether the batch has ended, well or not."""
        return self.status.is_final

    def is_successful(self) -> bool:
        """Whether the batch ran to its end."""
        return self.status is BatchStatus.COMPLETED
