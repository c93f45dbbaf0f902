"""How a batch stands."""

from decimal import Decimal

import msgspec

from ..exceptions import ValidationError
from .enums import BatchStatus
from .jobs import Failure
from .reasons import ErrorReason
from .record import JsonObject
from .shown import Shown
from .tokens import Tokens


class RequestCounts(Shown, frozen=True, kw_only=True):
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


class BatchError(Failure, frozen=True, kw_only=True):
    """What ended a batch or holds it up.

    Attributes:
        total: how many rows were refused, where rows were.
        problems: the first of them, one sentence each.
    """

    total: int = 0
    problems: tuple[str, ...] = ()


class ShardStatus(Shown, frozen=True, kw_only=True):
    """How a shard stands: one slice of a batch, one job at the provider.

    Attributes:
        state: the step that it waits for or is in, as in docs/architecture.md.
        rows: how many requests it has.
        job_id: the provider's id of its job, once there is one.
        job_status: the status of the job when the provider was last asked.
        completed: rows that are answered, by the provider's count.
        failed: rows that the provider refused, by its count.
        rows_per_s: rows per second of a job that runs in the worker, while it runs.
        eta_s: seconds that such a job still takes at this rate.
        polls: how often the provider was asked about the job.
        attempts: failed tries of the present step.
        held_since: since when it fails, or waits for what `error` says (ISO 8601 in UTC).
        next_try: when the step is tried again; None: nothing holds it up, or it waits for the operator.
        tokens: of its answers, once its results are written.
        cost: of these in US dollars; None: unknown.
        claimed_by: the worker that works on it, or did last.
        error: what took it off the way to its answers, or holds it up at present.
        left_behind: why files at the provider could not be deleted.
    """

    id: str
    state: str
    model: str
    rows: int
    job_id: str | None = None
    job_status: BatchStatus | None = None
    completed: int = 0
    failed: int = 0
    rows_per_s: float | None = None
    eta_s: int | None = None
    polls: int = 0
    attempts: int = 0
    held_since: str | None = None
    next_try: str | None = None
    tokens: Tokens = Tokens()
    cost: Decimal | None = None
    claimed_by: str | None = None
    error: Failure | None = None
    left_behind: Failure | None = None


class NoticeStatus(Shown, frozen=True, kw_only=True):
    """How a message stands that the app gets about its batch.

    Attributes:
        state: `notifying` until it is sent, then `completed`; `failed`: it is given up.
        task: the name of the task that is sent; None: it is a webhook.
        event: the `type` of the webhook.
        sent_at: when it was sent (ISO 8601 in UTC).
        answer: the HTTP status that the webhook's receiver took it with.
        attempts: failed tries.
        next_try: when it is sent again; None: nothing holds it up.
        error: what came of the last try, with its HTTP status if there was an answer; why it is given up.
    """

    id: str
    state: str
    task: str | None = None
    event: str | None = None
    sent_at: str | None = None
    answer: int | None = None
    attempts: int = 0
    next_try: str | None = None
    error: Failure | None = None


class BatchStatusResponse(Shown, frozen=True, kw_only=True):
    """The status of a batch; times are ISO 8601 in UTC.

    Attributes:
        version: of this record; names are only ever added to it.
        model: the model of the rows that name none.
        credential: the name of the key that its provider is called with; None: the workers' own.
        invalid: how many of the errored rows have an answer that does not fit (`invalid_output`), while the store has
            the batch's shards; the manifest has it for good.
        tokens: of the answers of the shards whose results are written.
        cost: of these in US dollars; None: not all of it is known.
        known_cost: the part of it that is known.
        completed_at: when the batch ended.
        expires_at: when the provider gives up on what is not done by then.
        error: what ended the batch, or holds it up.
        reasons: why rows are errored, the most frequent reason first: of the shards whose results are written.
        waiting_for: why nothing moves, since when, and when it is tried again, where something is amiss: of one shard,
            with a count of the others by their reasons.
        shards: one record for each shard.
        notices: one record for each message that the app gets: tasks at the end, webhooks; kept as long as the shards.
        metadata: the notes that it was submitted with.
        timeout: seconds from `created_at` after which the batch is cancelled; None: never.
        provider_data: other facts from the provider.
    """

    version: int = 1
    batch_id: str
    provider: str
    model: str | None = None
    credential: str | None = None
    status: BatchStatus
    request_counts: RequestCounts
    invalid: int = 0
    tokens: Tokens = Tokens()
    cost: Decimal | None = None
    known_cost: Decimal = Decimal(0)
    created_at: str
    completed_at: str | None = None
    expires_at: str | None = None
    error: BatchError | None = None
    reasons: tuple[ErrorReason, ...] = ()
    waiting_for: str | None = None
    shards: tuple[ShardStatus, ...] = ()
    notices: tuple[NoticeStatus, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    timeout: float | None = None
    provider_data: JsonObject = msgspec.field(default_factory=dict)

    def is_complete(self) -> bool:
        """Whether the batch has ended, well or not."""
        return self.status.is_final

    def is_successful(self) -> bool:
        """Whether the batch ran to its end."""
        return self.status is BatchStatus.COMPLETED
