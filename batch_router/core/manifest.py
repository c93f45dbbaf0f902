"""The books of a batch that has ended: `manifest.json`. Names are only added; readers ignore those they do not know."""

from decimal import Decimal

import msgspec

from .enums import BatchStatus
from .jobs import Failure
from .prices import Price
from .reasons import ErrorReason
from .shown import Shown
from .tokens import Tokens


class ResultCounts(Shown, frozen=True, kw_only=True):
    """How many results there are of each kind."""

    succeeded: int = 0
    errored: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def written(self) -> int:
        """How many results there are."""
        return self.succeeded + self.errored + self.cancelled + self.expired


class ManifestCounts(ResultCounts, frozen=True, kw_only=True):
    """The same, and how many requests went in: where the books balance, `total` is the sum of the others."""

    total: int


class ManifestPart(Shown, frozen=True, kw_only=True):
    """The results of one shard.

    Attributes:
        version: of this record and of the lines of `results`.
        state: in which the shard ended.
        job_id: the provider's id of its job.
        rows: how many results the part has.
        retried: how many more rows of the shard were sent again; their results are in another part.
        first_row: the batch's row number of its first request.
        results: storage name of the results, JSON lines in the order of the requests; None: there are none.
        row_ids: storage name of lines in the same order that begin with `[row number in the batch, custom_id`.
        size: bytes of `results`.
        sha256: of `results`, in hex.
        request_counts: of its results.
        tokens: of the answers to the shard's job, those included whose rows were sent again.
        price: what they are counted with; None: unknown.
        cost: of them in US dollars; None: unknown.
    """

    version: int = 1
    shard: str
    state: str
    job_id: str | None = None
    rows: int
    retried: int = 0
    first_row: int
    results: str | None
    row_ids: str
    size: int
    sha256: str
    request_counts: ResultCounts
    tokens: Tokens = Tokens()
    price: Price | None = None
    cost: Decimal | None = None


class Manifest(Shown, frozen=True, kw_only=True):
    """The outcome of a batch: its parts, their counts and hashes; times are ISO 8601 in UTC.

    Attributes:
        version: of this record.
        model: the model of the rows that name none.
        status: in which the batch ended.
        error: what ended it early.
        reasons: why rows are errored, the most frequent reason first; at most 20 are told apart.
        metadata: the notes that it was submitted with.
        dropped: what its requests asked for and the provider does not take, by name, and how often.
        adjusted: what of its schemas was sent in another way than they say it, by name (`output_schema.minLength`), and
            how often: see docs/schemas.md.
        unexpected: answers to no request of the batch, or to one that was answered before.
        repaired: answers that were not valid JSON and had to be read leniently.
        invalid: errored results whose answers do not fit (`invalid_output`).
        tokens: of all answers that were read.
        cost: of these in US dollars; None: not all of it is known.
        known_cost: the part of it that is known.
        storage: the folder that the names of the parts' objects are in.
        parts: in the order of the shards.
    """

    version: int = 1
    batch_id: str
    provider: str
    model: str | None = None
    status: BatchStatus
    request_counts: ManifestCounts
    created_at: str
    completed_at: str
    error: Failure | None = None
    reasons: tuple[ErrorReason, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    adjusted: dict[str, int] = msgspec.field(default_factory=dict)
    unexpected: int = 0
    repaired: int = 0
    invalid: int = 0
    tokens: Tokens = Tokens()
    cost: Decimal | None = None
    known_cost: Decimal = Decimal(0)
    storage: str
    parts: tuple[ManifestPart, ...] = ()
