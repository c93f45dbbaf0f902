"""What there is of a shard's answers: files as they were fetched, and the results made of them."""

from decimal import Decimal

import msgspec

from ..core import ErrorReason, Price, Tokens


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A file of answers that was fetched, unchanged.

    Attributes:
        file: the provider's name of it; "": the job's answers have none.
        name: storage name.
        size: bytes.
        rows: lines that are not blank.
    """

    file: str
    name: str
    size: int
    rows: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one shard.

    Attributes:
        name: storage name of the results, one line per request in input order.
        row_ids: storage name of their ids, where some of the shard's rows went on to another shard.
        unexpected: answers whose row is not ours, or was answered before; `answers` keeps them.
        repaired: answers that were not valid JSON and had to be read leniently.
        invalid: errored results whose answers do not fit.
        size: bytes of the results.
        sha256: of the results, in hex.
        reasons: why rows are errored.
        tokens: of all answers to the shard's job, those included whose rows went on to another shard.
        price: what they are counted with; None: unknown.
        cost: of them in US dollars; None: unknown.
    """

    name: str
    row_ids: str | None = None
    succeeded: int = 0
    errored: int = 0
    cancelled: int = 0
    expired: int = 0
    unexpected: int = 0
    repaired: int = 0
    invalid: int = 0
    size: int = 0
    sha256: str = ""
    reasons: tuple[ErrorReason, ...] = ()
    tokens: Tokens = Tokens()
    price: Price | None = None
    cost: Decimal | None = None
