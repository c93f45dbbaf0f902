"""What steps find out about items, by name; an item has an attribute for each."""

from decimal import Decimal
from typing import TypedDict

from ..core import ErrorReason, Tokens
from ..core.jobs import Account, Failure, Job, Progress, RefusedRow
from .items import Intent, dump_fields
from .parts import Fetched, Part


class ItemFacts(TypedDict, total=False):
    """What a step may find out about any item; the meanings are those of the records' attributes."""

    attempts: int
    error: Failure | None
    failure: Failure | None
    held_since: float | None
    retry_at: float | None
    doubt_since: None


class BatchFacts(ItemFacts, total=False):
    """What a step may find out about a batch."""

    rows: int
    dropped: dict[str, int]
    adjusted: dict[str, int]
    manifest: str
    report: str
    ended_at: float | None
    result_counts: dict[str, int]
    reasons: tuple[ErrorReason, ...]
    tokens: Tokens
    cost: Decimal | None
    known_cost: Decimal
    retired: bool
    erased: bool
    purging: bool
    retried_as: str
    notified: bool
    resumed: int
    unattended: tuple[str, ...]


class NoticeFacts(ItemFacts, total=False):
    """What a step may find out about a notice."""

    sent_at: float
    answer: int


class ShardFacts(ItemFacts, total=False):
    """What a step may find out about a shard."""

    retried: int
    round: int
    upload: str | None
    uploads: int
    account: Account
    intent: Intent | None
    job: Job | None
    progress: Progress | None
    run_for: float
    polls: int
    queue_waits: int
    cancel_sent: bool
    given_up: bool
    answers: tuple[Fetched, ...]
    looks: int
    absent_since: float | None
    refetches: int
    gap: str | None
    lost: int
    unfetched: bool
    refused: tuple[RefusedRow, ...]
    refusals: int
    resend: int
    alone: int
    part: Part
    left_behind: Failure | None
    booked: dict[str, int]


Facts = ItemFacts | BatchFacts | ShardFacts | NoticeFacts


def dump_facts(facts: Facts) -> dict[str, str]:
    """Facts as the hash of their item holds them."""
    return dump_fields(dict(facts))
