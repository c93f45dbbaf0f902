"""Rows that failed for a passing reason go again, as a follow-up shard of the same batch."""

import secrets
from array import array
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from ..core import ErrorType, ResultStatus, UnifiedResult
from ..state.items import Shard
from ..state.table import FIRST_OF_SHARD
from .context import Context
from .layout import shard_prefix

#: A retry may succeed, and the provider does not charge for the failed try.
_PASSING = frozenset({ErrorType.EXPIRED, ErrorType.RATE_LIMIT, ErrorType.TIMEOUT, ErrorType.SERVER, ErrorType.MISSING})
_decode_row_id = msgspec.json.Decoder(tuple[int, str]).decode


def is_passing(result: UnifiedResult) -> bool:
    """Whether the request failed for a reason that may be gone another time."""
    error = result.error
    if error is None or result.status is ResultStatus.CANCELLED:
        return False
    return error.retryable and error.type in _PASSING


class FollowUp(NamedTuple):
    """Attributes: `kept`, the storage name of the row ids that stay with the old shard; `shard`, the new one."""

    kept: str
    shard: Shard


def split_off(context: Context, shard: Shard, again: "array[int]") -> FollowUp:
    """Write the rows of a follow-up shard, under its own label.

    Args:
        context: of the step.
        shard: whose rows they are.
        again: their numbers within the shard, ascending.
    """
    label = secrets.token_hex(8)
    prefix = shard_prefix(shard)
    kept, requests, row_ids = f"{prefix}-kept-row-ids.jsonl", f"{prefix}-again.jsonl", f"{prefix}-again-row-ids.jsonl"
    first_row, size, number = -1, 0, 0
    wanted = iter(again)
    following = next(wanted)
    with ExitStack() as files:
        read, write = context.storage.open, context.storage.write
        rows = zip(
            files.enter_context(read(shard.requests)),
            files.enter_context(read(shard.row_ids)),
            strict=True,
        )
        kept_ids, new_requests, new_ids = (files.enter_context(write(name)) for name in (kept, requests, row_ids))
        for row, (request, row_id) in enumerate(rows):
            if row != following:
                kept_ids.write(row_id)
                continue
            # The label is random, so this is the row id's place and no other.
            renamed = request.replace(f'"{shard.label}-{row}"'.encode(), f'"{label}-{number}"'.encode(), 1)
            new_requests.write(renamed)
            new_ids.write(row_id)
            first_row = _decode_row_id(row_id)[0] if number == 0 else first_row
            size += len(renamed)
            number += 1
            following = next(wanted, -1)
    born = Shard(
        state=FIRST_OF_SHARD,
        provider=shard.provider,
        queue=shard.queue,
        credential=shard.credential,
        batch=shard.batch,
        label=label,
        model=shard.model,
        endpoint=shard.endpoint,
        rows=number,
        size=size,
        first_row=first_row,
        requests=requests,
        row_ids=row_ids,
        retries_left=shard.retries_left - 1,
        engine_options=shard.engine_options,
        keep_remote=shard.keep_remote,
    )
    return FollowUp(kept, born)
