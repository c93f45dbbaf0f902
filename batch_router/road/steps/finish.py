"""The books: what was asked equals what came back, added up from what `normalize` counted in each part."""

from collections.abc import Sequence

import msgspec

from ...core import (
    BatchStatus,
    Manifest,
    ManifestCounts,
    ManifestPart,
    ReasonCounter,
    ResultCounts,
    ResultStatus,
    Tokens,
    add_up,
)
from ...core.jobs import Failure
from ...core.times import iso_time
from ...exceptions import BatchExpiredError, UnbalancedError
from ...state.items import Batch, Shard
from ...state.parts import Part
from ...state.table import State
from ..context import Context
from ..costs import cost_of
from ..deadline import kept_for
from ..layout import batch_object
from ..notices import notices_of
from ..outcome import BatchOutcome, batch_to
from ..spend import write_spend
from ..step import Step

# Shards that are gone, as far as an error names them.
_MOST_NAMED = 10


def finish(context: Context, batch: Batch) -> BatchOutcome:
    """Write the manifest (the parts in order, their counts and hashes), and what the batch cost."""
    shards = context.store.get_shards(batch)
    parts = tuple(map(_list_part, shards))
    counts = _add_up(batch, parts)
    reasons = ReasonCounter(each for shard in shards if shard.part for each in shard.part.reasons).most_common()
    tokens, cost = add_up(part.tokens for part in parts), cost_of(shards)
    ended_at = context.store.now()
    state, failure = _final_state(batch, shards, counts)
    manifest = Manifest(
        batch_id=batch.id,
        provider=batch.provider,
        model=batch.model,
        status=BatchStatus(state.value),
        request_counts=counts,
        created_at=iso_time(batch.created_at),
        completed_at=iso_time(ended_at),
        error=failure,
        reasons=reasons,
        metadata=batch.metadata,
        dropped=batch.dropped,
        adjusted=batch.adjusted,
        unexpected=sum(shard.part.unexpected for shard in shards if shard.part),
        repaired=sum(shard.part.repaired for shard in shards if shard.part),
        invalid=sum(shard.part.invalid for shard in shards if shard.part),
        tokens=tokens,
        cost=cost.total,
        known_cost=cost.known,
        storage=context.storage.address,
        parts=parts,
    )
    name = batch_object(batch, "manifest")
    with context.storage.write(name) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(manifest)))
    write_spend(context.storage, batch, shards, ended_at)
    written = {status.value: counts[status] for status in ResultStatus}
    return batch_to(
        state,
        kept_for(context.settings),
        notices=notices_of(msgspec.structs.replace(batch, state=state, failure=failure)),
        notified=True,
        manifest=name,
        failure=failure,
        result_counts=written,
        reasons=reasons,
        tokens=tokens,
        cost=cost.total,
        known_cost=cost.known,
        ended_at=ended_at,
    )


def _list_part(shard: Shard) -> ManifestPart:
    part = shard.part
    return ManifestPart(
        shard=shard.id,
        state=shard.state.value,
        job_id=shard.job.id if shard.job else None,
        rows=shard.rows - shard.retried,
        retried=shard.retried,
        first_row=shard.first_row,
        results=part.name if part else None,
        row_ids=part.row_ids or shard.row_ids if part else shard.row_ids,
        size=part.size if part else 0,
        sha256=part.sha256 if part else "",
        request_counts=_counts_of(part) if part else ResultCounts(),
        tokens=part.tokens if part else Tokens(),
        price=part.price if part else None,
        cost=part.cost if part else None,
    )


def _counts_of(part: Part) -> ResultCounts:
    return ResultCounts(**{status.value: getattr(part, status) for status in ResultStatus})


def _add_up(batch: Batch, parts: Sequence[ManifestPart]) -> ManifestCounts:
    sums = {status.value: sum(part.request_counts[status] for part in parts) for status in ResultStatus}
    return ManifestCounts(total=batch.rows or 0, **sums)


def _imbalance(batch: Batch, shards: Sequence[Shard], counts: ManifestCounts) -> Failure | None:
    """Why there are not as many results as requests, or shards as were made."""
    if counts.written == counts.total and len(shards) == batch.shards:
        return None
    message = f"{counts.total} requests went in, {counts.written} results were written"
    if gone := sorted(set(range(batch.shards)) - {shard.number for shard in shards}):
        named = ", ".join(f"{batch.id}.{number}" for number in gone[:_MOST_NAMED])
        more = "" if len(gone) <= _MOST_NAMED else f" and {len(gone) - _MOST_NAMED} more"
        message += f"; the store has lost {named}{more}: `batch-router resume {batch.id}` finds what there is of them"
    return Failure(type=UnbalancedError.type, message=message)


def _final_state(batch: Batch, shards: Sequence[Shard], counts: ManifestCounts) -> tuple[State, Failure | None]:
    if batch.failure is not None and (batch.failure.type != BatchExpiredError.type or batch.rows is None):
        return State.FAILED, batch.failure
    unwritten = next((shard for shard in shards if shard.part is None), None)
    if unwritten is not None:
        return State.FAILED, unwritten.failure
    if (gap := _imbalance(batch, shards, counts)) is not None:
        return State.FAILED, gap
    states = {shard.state for shard in shards}
    if states == {State.FAILED}:
        return State.FAILED, shards[0].failure
    if batch.failure is not None and states & {State.CANCELLED, State.FAILED}:
        return State.EXPIRED, batch.failure
    for state in (State.CANCELLED, State.EXPIRED):
        if state in states:
            return state, None
    return State.COMPLETED, None


STEP = Step(finish)
