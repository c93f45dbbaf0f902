"""Rows that failed for a passing reason go again, as a follow-up shard of the same batch."""

from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple

from ..core import ErrorType, ResultStatus, UnifiedResult
from ..state.items import Shard
from ..state.table import FIRST_OF_SHARD
from .context import Context
from .jobs import stored_rows
from .layout import shard_prefix
from .row_ids import read_row_id
from .submission import follow_up_label

#: A retry may succeed, and the provider does not charge for the failed try.
_PASSING = frozenset({ErrorType.EXPIRED, ErrorType.RATE_LIMIT, ErrorType.TIMEOUT, ErrorType.SERVER, ErrorType.MISSING})


def is_passing(result: UnifiedResult) -> bool:
    """Whether the request failed for a reason that may be gone another time."""
    error = result.error
    if error is None or result.status is ResultStatus.CANCELLED:
        return False
    return error.retryable and error.type in _PASSING


class FollowUps(NamedTuple):
    """Attributes: `kept`, the storage name of the row ids that stay with the old shard; `shards`, the new ones."""

    kept: str
    shards: list[Shard]


class _Slice(NamedTuple):
    """Some of the rows, as they lie in the storage: what a follow-up is born with."""

    label: str
    requests: str
    row_ids: str
    rows: int
    size: int
    first_row: int


def split_off(
    context: Context,
    shard: Shard,
    again: "array[int]",
    parts: int = 1,
    *,
    retries_left: int = 0,
    invalid_left: int | None = None,
) -> FollowUps:
    """Write the rows of follow-up shards, each under a label of its own.

    Args:
        context: of the step.
        shard: whose rows they are.
        again: their numbers within the shard, ascending.
        parts: how many follow-ups share the rows; each gets at least one.
        retries_left: how often rows of theirs that fail for a passing reason may be sent again.
        invalid_left: how often rows of theirs may be asked again whose answers do not fit.
    """
    kept = f"{shard_prefix(shard, shard.label)}-kept-row-ids.jsonl"
    share = -(-len(again) // parts)
    slices = [again[start : start + share] for start in range(0, len(again), share)]
    with ExitStack() as files:
        stored_rows(context, shard)  # an error if they were cut short
        requests = files.enter_context(context.storage.open(shard.requests))
        row_ids = files.enter_context(context.storage.open(shard.row_ids))
        rows = enumerate(zip(requests, row_ids, strict=True))
        kept_ids = files.enter_context(context.storage.write(kept))
        written = [_write_slice(context, shard, part, wanted, rows, kept_ids) for part, wanted in enumerate(slices)]
        for _, (_, row_id) in rows:
            kept_ids.write(row_id)
    return FollowUps(kept, [_born(shard, each, retries_left, invalid_left) for each in written])


def _write_slice(
    context: Context,
    shard: Shard,
    part: int,
    wanted: "array[int]",
    rows: Iterator[tuple[int, tuple[bytes, bytes]]],
    kept_ids: BinaryIO,
) -> _Slice:
    """Read the shard's rows up to the last one that is wanted."""
    label = follow_up_label(shard.label, part)
    prefix = shard_prefix(shard, label)
    requests, row_ids = f"{prefix}-requests.jsonl", f"{prefix}-row-ids.jsonl"
    first_row, size, number = -1, 0, 0
    with context.storage.write(requests) as new_requests, context.storage.write(row_ids) as new_ids:
        while number < len(wanted):
            row, (request, row_id) = next(rows)
            if row != wanted[number]:
                kept_ids.write(row_id)
                continue
            # A row's own id stands first; its body may have anything.
            renamed = request.replace(f'"{shard.label}-{row}"'.encode(), f'"{label}-{number}"'.encode(), 1)
            new_requests.write(renamed)
            new_ids.write(row_id)
            first_row = read_row_id(row_id).row if number == 0 else first_row
            size += len(renamed)
            number += 1
    return _Slice(label, requests, row_ids, number, size, first_row)


def _born(shard: Shard, rows: _Slice, retries_left: int, invalid_left: int | None) -> Shard:
    return Shard(
        state=FIRST_OF_SHARD,
        provider=shard.provider,
        queue=shard.queue,
        credential=shard.credential,
        batch=shard.batch,
        submitted_at=shard.submitted_at,
        model=shard.model,
        endpoint=shard.endpoint,
        retries_left=retries_left,
        invalid_left=invalid_left,
        refusals=shard.refusals,
        queue_waits=shard.queue_waits,
        engine_options=shard.engine_options,
        job_options=shard.job_options,
        keep_remote=shard.keep_remote,
        doubt_since=shard.last_doubt,
        last_doubt=shard.last_doubt,
        schemas=shard.schemas,
        **rows._asdict(),
    )
