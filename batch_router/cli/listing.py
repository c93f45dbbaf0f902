"""`batch-router list`: the newest batches, or those that fit."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console

from ..core import BatchStatus, BatchStatusResponse
from ..core.money import dollars
from ..core.times import seconds_of
from .exit_codes import ExitCode
from .options import complete_id, json_option, open_client, whole_id
from .rows import read_pairs
from .terminal import age, print_grid, say, stdout, tell_json

_QUARANTINED = 5  # items that `list` names
_COLUMNS = ("batch", "status", "succeeded", "errors", "tokens", "cost", "age", "provider", "model", "credential")
_NUMBERS = ("succeeded", "errors", "tokens", "cost", "age")
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class _Moment(click.ParamType[datetime]):
    """A time, or how long ago it was."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        text = str(value)
        if found := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text[:80]!r} is no time: write 30m, 12h, 7d, 2026-11-27 or 2026-11-27T09:00+01:00", param, ctx)


@click.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many batches to show.")
@click.option("--provider", help="Only batches of this provider.")
@click.option(
    "--status", type=click.Choice([status.value for status in BatchStatus]), help="Only those in this status."
)
@click.option("--prefix", default="", help="Only those whose ids begin like this.")
@click.option("--since", type=_Moment(), help="Only those submitted since then: 30m, 12h, 7d (ago), or a date.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Only those with this note; can be repeated.")
@click.option("--before", metavar="ID", shell_complete=complete_id, help="Only those that follow this one in the list.")
@json_option
def list_batches(
    limit: int,
    provider: str | None,
    status: str | None,
    prefix: str,
    since: datetime | None,
    metadata: Sequence[str],
    before: str | None,
    as_json: bool,
) -> int:
    """List the newest batches."""
    client = open_client()
    batches = client.list(
        limit,
        provider=provider,
        status=status,
        prefix=prefix,
        since=since,
        before=None if before is None else whole_id(client, before),
        metadata=read_pairs("--metadata", metadata),
    )
    for item in client.quarantined(_QUARANTINED):
        say(f"{item.id} is in the quarantine ({item.reason}); `batch-router doctor` says what helps")
    if as_json:
        for batch in batches:
            tell_json(batch)
        return ExitCode.OK
    print_batches(stdout(), batches)
    if len(batches) == limit:
        say(f"older ones: --before {batches[-1].batch_id}")
    return ExitCode.OK


def print_batches(console: Console, batches: Sequence[BatchStatusResponse]) -> None:
    """A line for each batch, several where the terminal is too narrow."""
    unknown = "unknown" if any(batch.known_cost for batch in batches) else ""  # without any price there is no column
    print_grid(console, _COLUMNS, [_cells(batch, unknown) for batch in batches], right=_NUMBERS)


def _cells(batch: BatchStatusResponse, unknown: str) -> Sequence[str]:
    counts = batch.request_counts
    return (
        batch.batch_id,
        batch.status.value,
        f"{counts.succeeded}/{counts.total}",
        str(counts.errored or ""),
        str(batch.tokens.total or ""),
        (unknown if batch.cost is None else dollars(batch.cost)) if batch.tokens.total else "",
        age(time.time() - seconds_of(batch.created_at)),
        batch.provider,
        batch.model or _models(batch),
        batch.credential or "",
    )


def _models(batch: BatchStatusResponse) -> str:
    """Those that rows name themselves."""
    first, *others = dict.fromkeys(shard.model for shard in batch.shards) or [""]
    return f"{first} and {len(others)} more" if others else first
