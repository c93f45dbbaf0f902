"""Answers to results: one shape, input order, every request exactly once."""

from array import array
from typing import NamedTuple

import msgspec

from ...bounds import Bounds
from ...core import ErrorType, ResultStatus, UnifiedResult
from ...core.jobs import Failure
from ...exceptions import FileOperationError
from ...state.facts import ShardFacts
from ...state.items import Shard
from ...state.parts import Fetched, Part
from ..answers import bounded, locate, open_answers, shown
from ..context import Context
from ..costs import priced
from ..follow_up import is_passing, split_off
from ..layout import shard_prefix
from ..ledger import settled
from ..outcome import ShardOutcome, shard_to
from ..parsing import AnswerParser, invalid, is_invalid
from ..part_writer import PartWriter
from ..refetch import fetch_again
from ..row_ids import read_row_id, read_row_ids
from ..step import Step
from ..unanswered import refused_results, why_unanswered


class _Written(NamedTuple):
    """What was written.

    Attributes:
        part: the results.
        again: the rows that go again and have none here.
        lost: see `Shard.lost`.
        passing: whether any of these rows failed for a passing reason.
        invalid: whether any of them has an answer that does not fit.
    """

    part: Part
    again: "array[int]"
    lost: int
    passing: bool
    invalid: bool


def normalize(context: Context, shard: Shard) -> ShardOutcome:
    """Write the shard's results. Two passes over the answers: where each row's lies, then a write in input order."""
    whole = tuple(each for each in shard.answers if _is_whole(context, each))
    if whole != shard.answers:
        damaged = next(each.name for each in shard.answers if each not in whole)
        if (again := fetch_again(shard, f"{damaged} is not what was fetched")) is not None:
            return again.over(ShardFacts(answers=whole))
    refused = refused_results(context, shard)
    part, rows, lost, passing, unfit = _write_results(context, shard, refused)
    facts = ShardFacts(
        part=part, lost=lost, unfetched=_are_unfetched(shard, part, lost), booked=settled(context, shard, part)
    )
    if refused:
        facts["failure"] = _refusal(shard, refused)
    elif lost == shard.rows and shard.failure is None:
        facts["failure"] = Failure(type=ErrorType.MISSING, message=f"no answer could be fetched: {shard.gap}")
    if not rows:
        return shard_to(shard.state.onward, **facts)
    retries = shard.retries_left - (passing and not shard.resend)
    invalid_left = None if shard.invalid_left is None else shard.invalid_left - unfit
    parts = shard.resend or 1
    kept, follow_ups = split_off(context, shard, rows, parts, retries_left=retries, invalid_left=invalid_left)
    part = msgspec.structs.replace(part, row_ids=kept)
    return shard_to(shard.state.onward, spawn=follow_ups, part=part, retried=len(rows)).over(facts)


def _are_unfetched(shard: Shard, part: Part, lost: int) -> bool:
    """Whether the job has answers that were not fetched, or may have where it was given up."""
    return shard.job is not None and (lost > 0 or (shard.given_up and part.errored > 0))


def _is_whole(context: Context, fetched: Fetched) -> bool:
    try:
        return context.storage.size(fetched.name) == fetched.size
    except FileOperationError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return False


def _refusal(shard: Shard, refused: dict[int, UnifiedResult]) -> Failure:
    """The failure of a shard whose job was refused for some of its rows, in the user's words."""
    first = refused[min(refused)].error
    more = "" if shard.resend else f"; after {shard.refusals} such refusals the others are not sent again"
    message = (
        f"{len(refused)} of {shard.rows} rows were refused, the first one is {first.message if first else ''}{more}"
    )
    return Failure(type=shard.failure.type if shard.failure else "job_failed", message=message)


def _write_results(context: Context, shard: Shard, refused: dict[int, UnifiedResult]) -> _Written:
    codec = context.clients.provider(shard.provider).codec
    bounds = context.settings.of(Bounds)
    located = locate(context.storage, shard, codec, bounds)
    parser = AnswerParser(context, shard)
    unanswered = why_unanswered(context, shard, located.missing)
    kept = _rows_kept(context, shard)
    may_retry = shard.retries_left > 0 and not shard.cancel and kept is None
    resends = shard.resend > 0 and not shard.cancel and kept is None
    may_ask = bool(shard.invalid_left) and not shard.cancel and kept is None
    again, passing, unfit = array("l"), False, False
    name = f"{shard_prefix(shard, shard.label)}-results.jsonl"
    with (
        context.storage.write(name) as stream,
        open_answers(context.storage, shard, codec, located, bounds) as answers,
    ):
        results = PartWriter(name, stream)
        for row, row_id in enumerate(read_row_ids(context.storage, shard)):
            custom_id = row_id.custom_id
            answer = answers.result(row, custom_id)
            if answer is not None:
                results.tokens.add(answer)
            if kept is not None and row_id.row not in kept:
                continue
            result = answer or refused.get(row)
            if result is None and resends:
                again.append(row)
                continue
            result = result or unanswered.result(custom_id)
            if result.status is not ResultStatus.SUCCEEDED:
                if may_retry and is_passing(result):
                    again.append(row)
                    passing = True
                    continue
                result = bounded(shown(result, shard.label, row))
            elif row_id.schema is not None:
                result = parser.parse(result, row_id.schema)
                if shard.invalid_left is not None and is_invalid(result):
                    if may_ask:
                        again.append(row)
                        unfit = True
                        continue
                    result = invalid(result)
            results.add(result)
        part = results.finish(unexpected=located.unexpected, repaired=answers.repaired)
        part = msgspec.structs.replace(part, row_ids=shard.part.row_ids if shard.part else None)
    return _Written(priced(context, shard, part), again, unanswered.lost, passing, unfit)


def _rows_kept(context: Context, shard: Shard) -> set[int] | None:
    """The numbers of the rows that stayed with the shard when it was normalized before; None: all did."""
    if shard.part is None or shard.part.row_ids is None:
        return None
    with context.storage.open(shard.part.row_ids) as lines:
        return {read_row_id(line).row for line in lines}


STEP = Step(normalize)
