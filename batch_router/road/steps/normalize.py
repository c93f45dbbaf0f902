"""Answers to results: one shape, input order, every request exactly once."""

from array import array
from collections import Counter
from functools import partial

import msgspec

from ...bounds import Bounds
from ...core import BatchStatus, ErrorType, ResultError, ResultStatus, UnifiedResult
from ...core.jobs import Failure
from ...exceptions import FileOperationError
from ...jsonl import TOO_DEEP
from ...state.items import Part, Shard
from ...state.table import State
from ..answers import bounded, locate, open_answers, unreadable
from ..context import Context
from ..follow_up import is_passing, split_off
from ..layout import shard_prefix
from ..outcome import ShardOutcome, shard_to
from ..refetch import MOST_REFETCHES, fetch_again
from ..step import Step

_encode_into = msgspec.json.Encoder().encode_into
_decode_row_id = msgspec.json.Decoder(tuple[int, str]).decode

_BUFFER = 1 << 18


def normalize(context: Context, shard: Shard) -> ShardOutcome:
    """Write the shard's results. Two passes over the answers: where each row's lies, then a write in input order."""
    if shard.refetches < MOST_REFETCHES and not _is_whole(context, shard):
        return fetch_again(shard, State.DOWNLOADING, f"{shard.answers} is not what was fetched")
    part, again = _write_results(context, shard)
    if not again:
        return shard_to(shard.state.onward, part=part)
    kept, follow_ups = split_off(context, shard, again, retries_left=shard.retries_left - 1)
    part = msgspec.structs.replace(part, row_ids=kept)
    return shard_to(shard.state.onward, spawn=follow_ups, part=part, retried=len(again))


def _is_whole(context: Context, shard: Shard) -> bool:
    if shard.answers is None:
        return True
    try:
        return context.storage.size(shard.answers) == shard.answers_size
    except FileOperationError:
        return False


def _write_results(context: Context, shard: Shard) -> tuple[Part, "array[int]"]:
    """The part, and the numbers of the rows that go again: they have no result here."""
    codec = context.clients.provider(shard.provider).codec
    bounds = context.settings.of(Bounds)
    located = locate(context.storage, shard, codec, bounds)
    unanswered = partial(_unanswered, *_why_unanswered(shard))
    may_retry = shard.retries_left > 0 and not shard.cancel
    counts: Counter[str] = Counter()
    succeeded = 0
    buffer = bytearray()
    again = array("l")
    name = f"{shard_prefix(shard)}-results.jsonl"
    with (
        context.storage.write(name) as results,
        context.storage.open(shard.row_ids) as row_ids,
        open_answers(context.storage, shard, codec, located, bounds) as answers,
    ):
        for row, line in enumerate(row_ids):
            custom_id = _decode_row_id(line)[1]
            result = answers.result(row, custom_id) or unanswered(custom_id)
            if result.status is not ResultStatus.SUCCEEDED:
                if may_retry and is_passing(result):
                    again.append(row)
                    continue
                result = bounded(result)
            try:
                _encode_into(result, buffer, -1)
            except RecursionError:
                del buffer[buffer.rfind(b"\n") + 1 :]  # what was written of it until then
                result = unreadable(custom_id, TOO_DEEP)
                _encode_into(result, buffer, -1)
            buffer += b"\n"
            if result.status is ResultStatus.SUCCEEDED:
                succeeded += 1
            else:
                counts[result.status] += 1
            if len(buffer) > _BUFFER:
                results.write(buffer)
                buffer.clear()
        results.write(buffer)
    counts[ResultStatus.SUCCEEDED] = succeeded
    part = Part(name=name, unexpected=located.unexpected, repaired=answers.repaired)
    return msgspec.structs.replace(part, **counts), again


def _why_unanswered(shard: Shard) -> tuple[ResultStatus, ResultError]:
    """How rows without an answer ended, and why."""
    job = shard.job
    if job is not None and job.status is BatchStatus.EXPIRED:
        return ResultStatus.EXPIRED, _error(ErrorType.EXPIRED, "the provider ran out of time")
    if shard.was_cancelled:
        return ResultStatus.CANCELLED, _error(ErrorType.CANCELLED, "cancelled before it was answered")
    if shard.failure is not None:
        return ResultStatus.ERRORED, _error(ErrorType.JOB_FAILED, shard.failure.message, shard.failure)
    return ResultStatus.ERRORED, _error(ErrorType.MISSING, "the provider returned no row for this request")


def _error(kind: ErrorType, message: str, failure: Failure | None = None) -> ResultError:
    raw = msgspec.to_builtins(failure) if failure else None
    return ResultError(type=kind, message=message, retryable=failure is None, raw=raw)


def _unanswered(status: ResultStatus, error: ResultError, custom_id: str) -> UnifiedResult:
    return UnifiedResult(custom_id=custom_id, status=status, error=error)


STEP = Step(normalize)
