"""Answers to results: one shape, input order, every request exactly once."""

from array import array
from collections import Counter
from typing import NamedTuple

import msgspec

from ...bounds import Bounds
from ...core import ErrorType, ResultStatus, UnifiedResult
from ...core.jobs import Failure
from ...exceptions import FileOperationError
from ...jsonl import TOO_DEEP
from ...state.items import Fetched, Part, Shard, ShardFacts
from ..answers import bounded, locate, open_answers, shown, unreadable
from ..context import Context
from ..follow_up import is_passing, split_off
from ..layout import shard_prefix
from ..outcome import ShardOutcome, shard_to
from ..parsing import AnswerParser
from ..refetch import fetch_again
from ..row_ids import read_row_id
from ..step import Step
from ..unanswered import refused_results, why_unanswered

_encode_into = msgspec.json.Encoder().encode_into

_BUFFER = 1 << 18


class _Written(NamedTuple):
    """Attributes: `part`, the results; `again`, the rows that go again and have none here; `lost`, see `Shard.lost`."""

    part: Part
    again: "array[int]"
    lost: int


def normalize(context: Context, shard: Shard) -> ShardOutcome:
    """Write the shard's results. Two passes over the answers: where each row's lies, then a write in input order."""
    whole = tuple(each for each in shard.answers if _is_whole(context, each))
    if whole != shard.answers:
        damaged = next(each.name for each in shard.answers if each not in whole)
        if (again := fetch_again(shard, f"{damaged} is not what was fetched")) is not None:
            return again.over(ShardFacts(answers=whole))
    refused = refused_results(context, shard)
    part, rows, lost = _write_results(context, shard, refused)
    facts = ShardFacts(part=part, lost=lost)
    if refused:
        facts["failure"] = _refusal(shard, refused)
    elif lost == shard.rows and shard.failure is None:
        facts["failure"] = Failure(type=ErrorType.MISSING, message=f"no answer could be fetched: {shard.gap}")
    if not rows:
        return shard_to(shard.state.onward, **facts)
    parts, retries = (shard.resend, shard.retries_left) if shard.resend else (1, shard.retries_left - 1)
    kept, follow_ups = split_off(context, shard, rows, parts, retries_left=retries)
    part = msgspec.structs.replace(part, row_ids=kept)
    return shard_to(shard.state.onward, spawn=follow_ups, part=part, retried=len(rows)).over(facts)


def _is_whole(context: Context, fetched: Fetched) -> bool:
    try:
        return context.storage.size(fetched.name) == fetched.size
    except FileOperationError:
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
    may_retry = shard.retries_left > 0 and not shard.cancel
    resends = shard.resend > 0 and not shard.cancel
    counts: Counter[str] = Counter()
    succeeded = 0
    buffer = bytearray()
    again = array("l")
    name = f"{shard_prefix(shard, shard.label)}-results.jsonl"
    with (
        context.storage.write(name) as results,
        context.storage.open(shard.row_ids) as row_ids,
        open_answers(context.storage, shard, codec, located, bounds) as answers,
    ):
        for row, line in enumerate(row_ids):
            row_id = read_row_id(line)
            custom_id = row_id.custom_id
            result = answers.result(row, custom_id) or refused.get(row)
            if result is None and resends:
                again.append(row)
                continue
            result = result or unanswered.result(custom_id)
            if result.status is not ResultStatus.SUCCEEDED:
                if may_retry and is_passing(result):
                    again.append(row)
                    continue
                result = bounded(shown(result, shard.label, row))
            elif row_id.schema is not None:
                result = parser.parse(result, row_id.schema)
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
    return _Written(msgspec.structs.replace(part, **counts), again, unanswered.lost)


STEP = Step(normalize)
