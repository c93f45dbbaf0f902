"""What a step adds to the totals of the store: rows, tokens and cost of results, errors of providers."""

from typing import cast

from ..exceptions import ProviderAPIError
from ..state.census import Total
from ..state.facts import Facts, ShardFacts
from ..state.items import AnyItem, Shard
from ..state.parts import Part

_NOTHING = Part(name="")


def tally_of_error(item: AnyItem, error: Exception) -> dict[Total, float]:
    """Of a step that failed."""
    return {Total("provider_errors", item.provider, error.type): 1} if isinstance(error, ProviderAPIError) else {}


def tally_of_results(item: AnyItem, facts: Facts) -> dict[Total, float]:
    """Of a step that wrote a shard's results; one that writes them again adds what there is more of."""
    part = cast(ShardFacts, facts).get("part")
    if part is None or not isinstance(item, Shard):
        return {}
    before = _amounts(item.part or _NOTHING)
    more = {name: amount - before[name] for name, amount in _amounts(part).items()}
    return {Total(name, item.provider, label): amount for (name, label), amount in more.items() if amount > 0}


def _amounts(part: Part) -> dict[tuple[str, str], float]:
    return {
        ("rows", "succeeded"): part.succeeded,
        ("rows", "errored"): part.errored,
        ("rows", "cancelled"): part.cancelled,
        ("rows", "expired"): part.expired,
        ("tokens", "input"): part.tokens.input_tokens,
        ("tokens", "output"): part.tokens.output_tokens,
        ("cost_dollars", "known"): float(part.cost or 0),
    }
