"""What answers cost, as far as prices and tokens are known."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from ..state.items import Shard
from ..state.parts import Part
from .context import Context


class Cost(NamedTuple):
    """US dollars.

    Attributes:
        total: None: not all of it is known.
        known: the part of it that is known.
    """

    total: Decimal | None
    known: Decimal


def priced(context: Context, shard: Shard, part: Part) -> Part:
    """The part with its price, which is that of the day on which the batch was submitted."""
    price = context.prices.find(shard.provider, shard.model, shard.submitted_at)
    tokens = part.tokens
    free = None if tokens.answers or tokens.uncounted else Decimal(0)
    return replace(part, price=price, cost=price.cost(tokens) if price else free)


def cost_of(shards: Iterable[Shard]) -> Cost:
    """What the jobs of these shards cost; that of a job without results is unknown."""
    all_shards = list(shards)
    known = sum((each.part.cost for each in all_shards if each.part and each.part.cost), Decimal(0))
    return Cost(known if all(map(_is_known, all_shards)) else None, known)


def _is_known(shard: Shard) -> bool:
    part = shard.part
    if part is None:
        return shard.job is None
    return part.cost is not None and not part.tokens.uncounted and not shard.unfetched
