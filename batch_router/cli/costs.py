"""`batch-router costs`: what batches cost together; `batch-router estimate`: what one would cost."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import click

from ..connect import open_context
from ..core import CostSum, Estimate, ModelEstimate
from ..core.money import dollars
from ..intake.options import with_schema
from ..operations.costs import add_costs
from ..operations.estimate import estimate as estimate_batch
from ..prices import read_prices
from ..providers import find_provider
from ..road.storage_mark import check
from ..settings import Settings
from ..storage import FolderStorage
from ..tables.rendering import Columns
from .exit_codes import ExitCode
from .options import json_option
from .rows import RowOptions, options_of
from .submit import submit
from .tables import read_schema, rows_of
from .terminal import print_grid, say, stdout, tell, tell_json

_DAY = click.DateTime(["%Y-%m-%d"])
_SUMS = ("", "batches", "rows", "tokens in", "tokens out", "cost", "known")
_ESTIMATES = ("model", "endpoint", "rows", "shards", "tokens in", "tokens out", "cost", "at list price")


@click.command()
@click.option("--by", metavar="day|model|provider|credential|metadata.KEY", help="A sum for each of these.")
@click.option("--since", type=_DAY, metavar="YYYY-MM-DD", help="The first day of submission (UTC).")
@click.option("--until", type=_DAY, metavar="YYYY-MM-DD", help="The last day of submission (UTC).")
@json_option
def costs(by: str | None, since: datetime | None, until: datetime | None, as_json: bool) -> int:
    """Show what the batches cost that have ended, those included that were purged."""
    with closing(open_context(Settings.from_env())) as context:
        check(context)
        days = [each and each.date() for each in (since, until)]
        sums = add_costs(context.storage, by, *days)
    if as_json:
        for each in sums:
            tell_json(each)
    elif sums:
        print_grid(stdout(), (by or "", *_SUMS[1:]), [_sum_cells(each, by) for each in sums], right=_SUMS[1:])
    else:
        say("no batch of these days has ended")
    return ExitCode.OK


def _sum_cells(each: CostSum, by: str | None) -> tuple[str, ...]:
    return (
        (each.group or "(none)") if by else "",
        f"{each.batches:,}",
        f"{each.rows:,}",
        f"{each.tokens.input_tokens:,}",
        f"{each.tokens.output_tokens:,}",
        _money(each.cost),
        dollars(each.known_cost) if each.cost is None else "",
    )


@click.command(params=[*submit.params])
def estimate(file: Path, provider: str, prompt: str | None, schema: str | None, as_json: bool, **given: Any) -> int:
    """Show what a batch of these rows would take and cost; sends nothing, and needs no server.

    It takes the options of `submit`; those that change nothing of the rows are left aside.
    """
    settings = Settings.from_env()
    about_rows = cast(RowOptions, {name: given[name] for name in RowOptions.__annotations__})
    options = with_schema(options_of(about_rows), read_schema(schema))
    columns = Columns(given["id_column"], given["image_column"], given["document_column"])
    kind, prices = find_provider(provider, settings), read_prices(settings.prices)
    with rows_of(file, prompt, columns, options, settings) as rows:
        found = estimate_batch(settings, FolderStorage(settings.home), prices, kind, rows)
    if as_json:
        tell_json(found)
        return ExitCode.OK
    print_grid(stdout(), _ESTIMATES, [_estimate_cells(each) for each in found.models], right=_ESTIMATES[2:])
    for each in _remarks(found):
        tell(each)
    return ExitCode.OK


def _estimate_cells(each: ModelEstimate) -> tuple[str, ...]:
    at_least = each.input_cost is not None and each.cost is None
    return (
        each.model or "(the provider's)",
        each.endpoint.value,
        f"{each.rows:,}",
        f"{each.shards:,}",
        f"{each.input_tokens:,}",
        "unknown" if each.output_tokens is None else f"{each.output_tokens:,}",
        f"over {_money(each.input_cost)}" if at_least else _money(each.cost),
        _money(each.list_cost),
    )


def _remarks(found: Estimate) -> Iterator[str]:
    """The sums, how the numbers are estimated, and what is missing for those that are not."""
    if len(found.models) > 1:
        yield f"all: {found.rows:,} rows in {found.shards:,} shards; cost: {_money(found.cost)}"
    by_size = [each for each in found.models if each.input_from == "size"]
    if by_size:
        yield "tokens in: by the size of the texts, four bytes each; later by those of earlier batches of the model"
    if any(each.output_from == "max_tokens" for each in found.models):
        yield "tokens out: the most that max_tokens allows"
    if found.output_tokens is None:
        yield "tokens out: unknown where rows have no max_tokens and no batch of the model has ended"
    if any(each.input_cost is None for each in found.models):
        yield "cost: unknown where the file that BATCH_ROUTER_PRICES names has no price of the model"
    for what, count in found.dropped.items():
        yield f"dropped: {what} in {count} place{'s' if count != 1 else ''}, which {found.provider} does not take"
    for what, count in found.adjusted.items():
        yield f"adjusted: {what} in {count} rows, in another way that {found.provider} takes"


def _money(amount: Decimal | None) -> str:
    return "unknown" if amount is None else dollars(amount)
