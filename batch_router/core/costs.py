"""What batches cost together, and what one would cost."""

from decimal import Decimal
from typing import Literal

import msgspec

from .enums import Endpoint
from .shown import Shown
from .tokens import Tokens


class CostSum(Shown, frozen=True, kw_only=True):
    """What several batches cost together.

    Attributes:
        version: of this record; names are only added to it.
        group: what they have in common: a day, a model, a provider, a credential, or the value of a note; None: they
            have none, or nothing was asked for.
        batches: how many there are; of a model, those that have rows of it.
        rows: how many results they have.
        tokens: of all answers that were read.
        cost: of these in US dollars; None: not all of it is known.
        known_cost: the part of it that is known.
    """

    version: int = 1
    group: str | None
    batches: int = 0
    rows: int = 0
    tokens: Tokens = Tokens()
    cost: Decimal | None = Decimal(0)
    known_cost: Decimal = Decimal(0)


class ModelEstimate(Shown, frozen=True, kw_only=True):
    """What the rows of one model and endpoint would take and cost.

    Attributes:
        model: as the rows name it; empty where the provider takes one of its own.
        request_bytes: of the rows as they would be sent.
        input_tokens: about so many.
        input_from: how they are estimated: by the tokens that bytes of earlier batches of the model had, or by the size
            of the texts.
        output_tokens: about, or at most, so many; None: nothing tells.
        output_from: how: by the tokens that answers of earlier batches had, or by the most that each row may have.
        cost: in US dollars, in a batch; None: the price or the output is unknown.
        list_cost: the same outside of batches; None: likewise.
        input_cost: of the input alone, in a batch; None: the price is unknown.
    """

    model: str
    endpoint: Endpoint
    rows: int
    shards: int
    request_bytes: int
    input_tokens: int
    input_from: Literal["earlier batches", "size"]
    output_tokens: int | None = None
    output_from: Literal["earlier batches", "max_tokens"] | None = None
    cost: Decimal | None = None
    list_cost: Decimal | None = None
    input_cost: Decimal | None = None


class Estimate(Shown, frozen=True, kw_only=True):
    """What a batch would take and cost; each number is None where a part of it is unknown.

    Attributes:
        version: of this record; names are only added to it.
        rows: how many requests there are.
        shards: how many jobs they would make.
        cost: in US dollars, in a batch.
        list_cost: the same outside of batches.
        dropped: what the requests ask for and the provider does not take, by name, with `unsupported="drop"`.
        adjusted: what of schemas would be sent in another way than they say it, by name.
        models: one record for each model and endpoint.
    """

    version: int = 1
    provider: str
    rows: int
    shards: int
    input_tokens: int
    output_tokens: int | None
    cost: Decimal | None
    list_cost: Decimal | None
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    adjusted: dict[str, int] = msgspec.field(default_factory=dict)
    models: tuple[ModelEstimate, ...] = ()
