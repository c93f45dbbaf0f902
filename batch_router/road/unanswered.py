"""Rows without an answer: how they ended, and why; and where the user finds a row that was refused."""

from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..bounds import Bounds
from ..core import BatchStatus, ErrorType, ResultError, ResultStatus, UnifiedResult
from ..core.jobs import Failure, RefusedRow
from ..intake.problems import Problems
from ..jsonl import LongLine, read_lines
from ..state.items import Shard
from .context import Context
from .refetch import promised_answers
from .row_ids import read_row_ids


class Unanswered(NamedTuple):
    """How the rows of a shard ended that have no answer.

    Attributes:
        status: of their results.
        error: of their results.
        lost: how many the provider says it has answered, or refused.
    """

    status: ResultStatus
    error: ResultError
    lost: int

    def result(self, custom_id: str) -> UnifiedResult:
        """The result of one of them."""
        return UnifiedResult(custom_id=custom_id, status=self.status, error=self.error)


def why_unanswered(context: Context, shard: Shard, missing: int) -> Unanswered:
    """How rows of a shard without an answer ended, and why.

    What the provider does not itself count as not done may be paid for, and is not sent again on its own.
    """
    job = shard.job
    lost = max(0, promised_answers(context, shard) - (shard.rows - missing)) if job and not job.did_nothing else 0
    has_expired = job is not None and job.status is BatchStatus.EXPIRED
    not_done = job.undone(shard.rows) if job is not None else None
    is_undone = missing <= not_done if not_done is not None else has_expired
    if shard.failure is not None and shard.failure.type == ErrorType.UNDECIDED:
        return Unanswered(ResultStatus.ERRORED, _undecided(shard.failure), lost)
    if shard.failure is not None and not has_expired and not shard.was_cancelled:
        return Unanswered(ResultStatus.ERRORED, _job_failed(shard.failure), lost)
    if lost == 0 and has_expired and is_undone:
        error = ResultError(type=ErrorType.EXPIRED, message="the provider ran out of time", retryable=True)
        return Unanswered(ResultStatus.EXPIRED, error, 0)
    if lost == 0 and shard.was_cancelled:
        error = ResultError(type=ErrorType.CANCELLED, message="cancelled before it was answered", retryable=True)
        return Unanswered(ResultStatus.CANCELLED, error, 0)
    return Unanswered(ResultStatus.ERRORED, _missing(shard, is_undone=is_undone and lost == 0), lost)


def _undecided(failure: Failure) -> ResultError:
    message = f"nothing tells whether the provider has answered this request, and it may be paid for; {failure.message}"
    return ResultError(type=ErrorType.UNDECIDED, message=message)


def _job_failed(failure: Failure) -> ResultError:
    raw = msgspec.to_builtins(failure)
    return ResultError(type=ErrorType.JOB_FAILED, message=failure.message, code=failure.type, raw=raw)


def _missing(shard: Shard, *, is_undone: bool) -> ResultError:
    message = "the provider returned no row for this request"
    if is_undone:
        return ResultError(type=ErrorType.MISSING, message=f"{message}, and counts it as not done", retryable=True)
    gap = f" ({shard.gap})" if shard.gap else ""
    return ResultError(
        type=ErrorType.MISSING, message=f"{message}{gap}; it may be paid for, so it is not sent again on its own"
    )


def refused_results(context: Context, shard: Shard) -> dict[int, UnifiedResult]:
    """The results of the rows that the job was refused for, by their numbers in the shard."""
    known: dict[int, RefusedRow] = {}
    for each in shard.refused:
        known.setdefault(each.row, each)
    return {
        row: _refused(custom_id, place, known[row]) for row, custom_id, place in _places(context, shard, known.keys())
    }


def _refused(custom_id: str, place: str, refused: RefusedRow) -> UnifiedResult:
    error = ResultError(
        type=ErrorType.INVALID_REQUEST,
        message=f"{place} (custom_id {custom_id!r}): {refused.message}",
        code=refused.code,
        raw={"code": refused.code, "message": refused.message},
    )
    return UnifiedResult(custom_id=custom_id, status=ResultStatus.ERRORED, error=error)


def _places(context: Context, shard: Shard, rows: Collection[int]) -> list[tuple[int, str, str]]:
    """Row number, custom id, and what the user calls the row: its file and line, or its place in the list."""
    if not rows:
        return []
    row_ids = islice(read_row_ids(context.storage, shard), max(rows) + 1)
    wanted = [(row, row_id) for row, row_id in enumerate(row_ids) if row in rows]
    names = _input_places(context, shard, {row_id.row for _, row_id in wanted})
    return [(row, each.custom_id, names.get(each.row, f"row {each.row + 1}")) for row, each in wanted]


def _input_places(context: Context, shard: Shard, numbers: Collection[int]) -> dict[int, str]:
    """What rows of the batch are called; blank lines are no rows."""
    batch = context.store.get_batch(shard.batch)
    if batch is None or not numbers:
        return {}
    problems = Problems(Path(batch.input.source) if batch.input.source else None)
    names: dict[int, str] = {}
    number = 0
    with context.storage.open(batch.input.stored) as stream:
        for place, line in enumerate(read_lines(stream, context.settings.of(Bounds).max_row_bytes), 1):
            if not isinstance(line, LongLine) and not line.strip():
                continue
            if number in numbers:
                names[number] = problems.place(place)
            if len(names) == len(numbers):
                break
            number += 1
    return names
