"""`budget`, `limit`, `pause` and `unpause`: what may be spent, and what may wait or run at once."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import click

from ..core.money import dollars
from ..operations.ledger import Budget, Limit
from .exit_codes import ExitCode
from .options import json_option, open_client, whole_id
from .terminal import print_grid, say, stdout, tell_fact, tell_json

_Row = tuple[Budget | Limit, Sequence[str]]

_NUMBERS = frozenset({"limit", "taken", "left", "waiting"})


class _Dollars(click.ParamType[Decimal]):
    """A sum of money, to the last digit."""

    name = "dollars"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """See `click.ParamType`."""
        try:
            amount = Decimal(str(value).removeprefix("$"))
        except InvalidOperation:
            amount = Decimal("nan")
        return amount if amount.is_finite() else self.fail(f"{value!r} is no sum of money", param, ctx)


DOLLARS = _Dollars()


@click.command()
@click.argument("scope", required=False)
@click.argument("dollars", required=False, type=DOLLARS)
@click.option("--remove", is_flag=True, help="Have no budget for SCOPE any more.")
@json_option
def budget(scope: str | None, dollars: Decimal | None, remove: bool, as_json: bool) -> int:
    """Set what SCOPE may cost; without arguments, show all budgets.

    SCOPE is the id of a batch, credential=NAME, provider=NAME or metadata.KEY=VALUE.
    """
    if scope is None:
        return _show_budgets(as_json)
    if (dollars is None) is not remove:
        raise click.UsageError("give DOLLARS, or --remove")
    tell_fact(as_json, scope=open_client().set_budget(_scope(scope), dollars))
    return ExitCode.OK


def _show_budgets(as_json: bool) -> int:
    nothing = "no budgets: `batch-router budget SCOPE DOLLARS` sets one"
    rows = [(each, (each.scope, *map(dollars, _sums(each)))) for each in open_client().budgets()]
    return _show(as_json, ("scope", "limit", "taken", "left", "waiting"), rows, nothing)


def _sums(budget: Budget) -> tuple[Decimal, ...]:
    return budget.limit, budget.taken, max(Decimal(0), budget.limit - budget.taken)


@click.command()
@click.argument("provider", required=False)
@click.argument("model", required=False)
@click.option("--tokens", type=int, help="Input tokens of jobs that wait or run at once.")
@click.option("--jobs", type=int, help="Jobs that wait or run at once.")
@click.option("--credential", metavar="NAME", help="Of the account of this key; by default of the workers' own key.")
@json_option
def limit(
    provider: str | None, model: str | None, tokens: int | None, jobs: int | None, credential: str | None, as_json: bool
) -> int:
    """Set what may wait or run at once at PROVIDER for MODEL; without arguments, show all limits.

    An option that is not given takes its limit away, also one that was learned from a refusal.
    """
    if provider is None or model is None:
        if provider is not None:
            raise click.UsageError("give a MODEL, too")
        return _show_limits(as_json)
    open_client().set_limit(provider, model, tokens=tokens, jobs=jobs, credential=credential)
    return ExitCode.OK


def _show_limits(as_json: bool) -> int:
    nothing = "no limits: they are learned from refusals, or set by `batch-router limit PROVIDER MODEL --tokens N`"
    rows = [
        (each, (each.of, each.at, f"{each.limit:,}" if each.limit else "paused", f"{each.taken:,}"))
        for each in open_client().limits()
    ]
    return _show(as_json, ("of", "at", "limit", "taken", "waiting"), rows, nothing)


def _show(as_json: bool, columns: Sequence[str], rows: Sequence[_Row], nothing: str) -> int:
    """Each record as JSON, or its cells as a line of a table that ends with how many shards wait."""
    if as_json:
        for each, _ in rows:
            tell_json(each)
    elif rows:
        print_grid(stdout(), columns, [(*cells, f"{each.waiting}") for each, cells in rows], right=_NUMBERS)
    else:
        say(nothing)
    return ExitCode.OK


@click.command()
@click.argument("scope")
@json_option
def pause(scope: str, as_json: bool) -> int:
    """Create no further jobs in SCOPE: a batch's ID, credential=NAME, provider=NAME or metadata.KEY=VALUE.

    Jobs that there are go on, and their results are fetched.
    """
    tell_fact(as_json, scope=open_client().pause(_scope(scope)))
    return ExitCode.OK


@click.command()
@click.argument("scope")
@json_option
def unpause(scope: str, as_json: bool) -> int:
    """Create jobs in SCOPE again."""
    tell_fact(as_json, scope=open_client().unpause(_scope(scope)))
    return ExitCode.OK


def _scope(given: str) -> str:
    return given if "=" in given else whole_id(open_client(), given)
