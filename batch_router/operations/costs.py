"""What batches cost together, those included that were purged since."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from ..core import CostSum, add_up
from ..exceptions import ValidationError
from ..road.spend import ModelSpend, Spend, days_of, read_spend
from ..security.printable import printable
from ..storage import Storage

_NOTE = "metadata."
_GROUPS = ("day", "model", "provider", "credential")
_SHOWN = 80


def add_costs(
    storage: Storage, by: str | None = None, since: date | None = None, until: date | None = None
) -> list[CostSum]:
    """What the batches cost that were submitted in these days (UTC) and have ended.

    Args:
        storage: with the records of what was spent; one of them is read at a time.
        by: "day", "model", "provider", "credential" or "metadata.KEY"; None: all together.
        since: the first day.
        until: the last day.

    Returns:
        A sum for each group: days in order, other groups with the highest known cost first.

    Raises:
        ValidationError: there are no such groups.
        FileOperationError: a record cannot be read.
        CorruptItemError: a record is none that batch_router could have written; names it.
    """
    if by is not None and by not in _GROUPS and not (by.startswith(_NOTE) and by != _NOTE):
        raise ValidationError(f"by {printable(by, _SHOWN)!r} is none of {', '.join(_GROUPS)}, {_NOTE}KEY")
    sums: dict[str | None, CostSum] = {}
    for day, name in days_of(storage, str(since or ""), str(until or "9")):
        for group, models in _groups(read_spend(storage, name), by, day):
            sums[group] = _plus(sums.get(group, CostSum(group=group)), models)
    if by == "day":
        return sorted(sums.values(), key=lambda each: each.group or "")
    return sorted(sums.values(), key=lambda each: (-each.known_cost, each.group or ""))


def _groups(spend: Spend, by: str | None, day: str) -> Iterator[tuple[str | None, tuple[ModelSpend, ...]]]:
    """The groups that a batch belongs to, each with what it spent there."""
    match by:
        case None:
            yield None, spend.models
        case "day":
            yield day, spend.models
        case "model":
            yield from ((each.model, (each,)) for each in spend.models)
        case "provider":
            yield spend.provider, spend.models
        case "credential":
            yield spend.credential, spend.models
        case note:
            yield spend.metadata.get(note.removeprefix(_NOTE)), spend.models


def _plus(total: CostSum, models: tuple[ModelSpend, ...]) -> CostSum:
    """The sum with one batch more."""
    costs = [total.cost, *(each.cost for each in models)]
    known = [each for each in costs if each is not None]
    return CostSum(
        group=total.group,
        batches=total.batches + 1,
        rows=total.rows + sum(each.rows for each in models),
        tokens=add_up([total.tokens, *(each.tokens for each in models)]),
        cost=sum(known, Decimal(0)) if len(known) == len(costs) else None,
        known_cost=sum((each.known_cost for each in models), total.known_cost),
    )
