"""Rows that failed for a passing reason go again, as a follow-up shard of the same batch."""

import secrets
from array import array
from typing import Any

import msgspec

from ..core import ErrorType, ResultStatus, UnifiedResult
from ..jsonl import read_lines
from ..state.items import Shard
from .context import Context
from .layout import shard_prefix

#: Another try may well go better, and the provider does not charge for this one.
_PASSING = frozenset({ErrorType.EXPIRED, ErrorType.RATE_LIMIT, ErrorType.TIMEOUT, ErrorType.SERVER, ErrorType.MISSING})
_decode_row_id = msgspec.json.Decoder(tuple[int, str]).decode


def is_passing(result: UnifiedResult) -> bool:
    """Whether the request failed for a reason that may be gone another time."""
    error = result.error
    if error is None or result.status is ResultStatus.CANCELLED:
        return False
    return error.retryable and error.type in _PASSING


def split_off(context: Context, shard: Shard, again: "array[int]") -> tuple[str, dict[str, Any]]:
    """Write the rows of a follow-up shard, under a token of its own.

    Args:
        context: of the step.
        shard: whose rows they are.
        again: their numbers within the shard, ascending.

    Returns:
        The storage name of the row ids that stay, and the facts of the new shard.
    """
    token = secrets.token_hex(8)
    folder = shard_prefix(shard)
    kept, requests, row_ids = f"{folder}-kept-row-ids.jsonl", f"{folder}-again.jsonl", f"{folder}-again-row-ids.jsonl"
    first_row, size, number = -1, 0, 0
    wanted = iter(again)
    following = next(wanted)
    with (
        context.storage.open(shard.requests) as all_requests,
        context.storage.open(shard.row_ids) as all_ids,
        context.storage.write(kept) as kept_ids,
        context.storage.write(requests) as new_requests,
        context.storage.write(row_ids) as new_ids,
    ):
        for row, (request, row_id) in enumerate(zip(read_lines(all_requests), read_lines(all_ids), strict=True)):
            if row != following:
                kept_ids.write(row_id)
                continue
            # The token is random, so this is the row id's place and no other.
            renamed = request.replace(f'"{shard.token}-{row}"'.encode(), f'"{token}-{number}"'.encode(), 1)
            new_requests.write(renamed)
            new_ids.write(row_id)
            first_row = _decode_row_id(row_id)[0] if number == 0 else first_row
            size += len(renamed)
            number += 1
            following = next(wanted, -1)
    return kept, {
        "provider": shard.provider,
        "queue": shard.queue,
        "credential": shard.credential,
        "engine_options": shard.engine_options,
        "token": token,
        "model": shard.model,
        "endpoint": shard.endpoint,
        "rows": number,
        "size": size,
        "first_row": first_row,
        "requests": requests,
        "row_ids": row_ids,
        "retries_left": shard.retries_left - 1,
        "keep_remote": shard.keep_remote,
    }
