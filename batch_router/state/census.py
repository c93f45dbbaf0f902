"""What a store holds, in numbers: for metrics. No number is of a single batch."""

from collections.abc import Mapping
from typing import NamedTuple

from .table import State


class Standing(NamedTuple):
    """Where items stand.

    Attributes:
        kind: `batch`, `shard` or `notice`.
        queue: their own, if they need a special one.
    """

    kind: str
    provider: str
    queue: str | None
    state: State


class Total(NamedTuple):
    """What a store adds up for as long as it lives; no purge takes from it.

    Attributes:
        name: `rows`, `tokens`, `cost_dollars`, `provider_errors` or `recoveries`.
        label: of the rows, their ends; of the tokens, `input` or `output`; of the cost, `known`; of the errors, their
            types; of the recoveries, the states of the items.
    """

    name: str
    provider: str
    label: str


class Census(NamedTuple):
    """The numbers of a store.

    Attributes:
        items: how many items stand where, those that have ended and are kept included.
        batches: how many batches are listed by provider and status (`BatchStatus`).
        totals: what was added up.
        overdue: items whose time is over, and that no sweep has taken yet.
        oldest_overdue: since how many seconds the first of them is; 0: there is none.
        first_overdue: where the first 500 of them stand.
        quarantined: items that could not be read.
    """

    items: Mapping[Standing, int]
    batches: Mapping[tuple[str, str], int]
    totals: Mapping[Total, float]
    overdue: int
    oldest_overdue: float
    first_overdue: Mapping[Standing, int]
    quarantined: int


#: Overdue items that a census looks at one by one: as many as a sweep takes at once.
FIRST = 500
