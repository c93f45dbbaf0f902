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
    """The part with its price, which is that of the day on which the batch was submitted.

    A job that ran in a worker costs its hours, where these have a price.
    """
    what = shard.provider, shard.model, shard.submitted_at
    if shard.run_for and (hour := context.prices.hour(*what)) is not None:
        return replace(part, cost=hour.cost(shard.run_for))
    price, tokens = context.prices.find(*what), part.tokens
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
    counted = part.price is None or not part.tokens.uncounted  # hours are known without tokens
    return part.cost is not None and counted and not shard.unfetched
