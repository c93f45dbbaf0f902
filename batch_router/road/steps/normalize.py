"""Answers to results: one shape, input order, every request exactly once."""

import os
from array import array
from collections import Counter
from functools import partial
from pathlib import Path

import msgspec

from ...core import BatchStatus, ErrorType, ResultError, ResultStatus, UnifiedResult
from ...core.jobs import Failure
from ...jsonl import read_lines
from ...providers import Codec
from ...state.items import Part, Shard
from ...state.table import State
from ..context import Context, Outcome
from ..doubt import MOST_DOUBTS, fetch_again
from ..follow_up import is_passing, split_off
from ..layout import shard_prefix

_encode_into = msgspec.json.Encoder().encode_into
_decode_row_id = msgspec.json.Decoder(tuple[int, str]).decode

_NOWHERE = -1
_BUFFER = 1 << 18
_MOST_DIGITS = 9
_QUOTE = 200  # bytes of an unreadable answer that its error shows


def normalize(context: Context, shard: Shard) -> Outcome:
    """Write the shard's results. Two passes over the answers: where each row's lies, then a write in input order."""
    codec = context.clients.provider(shard.provider).codec
    answers = context.storage.path(shard.answers) if shard.answers else None
    if answers is not None and shard.doubts < MOST_DOUBTS and not _is_whole(answers, shard.answers_size):
        return fetch_again(shard, State.DOWNLOADING, f"{shard.answers} is not what was fetched")
    name = f"{shard_prefix(shard)}-results.jsonl"
    offsets, lengths, unexpected = _locate(answers, shard, codec)
    unanswered = partial(_unanswered, *_why_unanswered(shard))
    counts: Counter[str] = Counter()
    succeeded = repaired = 0
    buffer = bytearray()
    again = array("l")
    may_retry = shard.retries_left > 0 and not shard.cancel
    with (
        context.storage.write(name) as results,
        context.storage.open(shard.row_ids) as row_ids,
        open(answers or os.devnull, "rb", buffering=0) as stream,
    ):
        handle = stream.fileno()
        for row, line in enumerate(read_lines(row_ids)):
            custom_id = _decode_row_id(line)[1]
            if offsets[row] == _NOWHERE:
                result = unanswered(custom_id)
            else:
                result, was_repaired = _read_answer(os.pread(handle, lengths[row], offsets[row]), custom_id, codec)
                repaired += was_repaired
            if result.status is ResultStatus.SUCCEEDED:
                succeeded += 1
            elif may_retry and is_passing(result):
                again.append(row)
                continue
            else:
                counts[result.status] += 1
            _encode_into(result, buffer, -1)
            buffer += b"\n"
            if len(buffer) > _BUFFER:
                results.write(buffer)
                buffer.clear()
        results.write(buffer)
    counts[ResultStatus.SUCCEEDED] = succeeded
    part = msgspec.structs.replace(Part(name=name, unexpected=unexpected, repaired=repaired), **counts)
    if not again:
        return Outcome(State.CLEANING, patch={"part": part})
    kept, follow_up = split_off(context, shard, again)
    part = msgspec.structs.replace(part, row_ids=kept)
    return Outcome(State.CLEANING, patch={"part": part, "retried": len(again)}, spawn=[follow_up])


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _locate(answers: Path | None, shard: Shard, codec: Codec) -> tuple["array[int]", "array[int]", int]:
    """Where in the answers each row's begins, how long it is, and how many are nobody's or came again."""
    offsets = array("q", [_NOWHERE]) * shard.rows
    lengths = array("l", [0]) * shard.rows
    unexpected = 0
    if answers is None:
        return offsets, lengths, 0
    prefix = f"{shard.token}-"
    offset = 0
    with answers.open("rb", buffering=_BUFFER) as stream:
        for line in stream:  # a binary file splits on \n only
            length = len(line)
            row = _row_number(codec.read_row_id(line), prefix, shard.rows)
            if row is not None and offsets[row] == _NOWHERE:
                offsets[row] = offset
                lengths[row] = length
            elif not line.isspace():
                unexpected += 1
            offset += length
    return offsets, lengths, unexpected


def _row_number(row_id: str | None, prefix: str, rows: int) -> int | None:
    if row_id is None or not row_id.startswith(prefix):
        return None
    digits = row_id[len(prefix) :]
    if len(digits) > _MOST_DIGITS or not digits.isdecimal():
        return None
    number = int(digits)
    return number if number < rows and digits == str(number) else None


def _read_answer(line: bytes, custom_id: str, codec: Codec) -> tuple[UnifiedResult, bool]:
    try:
        return codec.decode(line, custom_id)
    except ValueError as error:
        quoted = line[:_QUOTE].decode(errors="replace")
        message = f"the provider's answer cannot be read: {error}"
        malformed = ResultError(type=ErrorType.MALFORMED, message=message, retryable=True, raw=quoted)
        return UnifiedResult(custom_id=custom_id, status=ResultStatus.ERRORED, error=malformed), False


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
