"""The books: what was asked equals what came back, read from the parts themselves."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from ...core import BatchStatus, Manifest, ManifestCounts, ManifestPart, ResultCounts, ResultStatus
from ...core.jobs import Failure
from ...core.times import iso_time
from ...exceptions import BatchExpiredError
from ...state.items import Batch, Shard
from ...state.table import State
from ..context import Context
from ..layout import batch_object
from ..outcome import BatchOutcome, batch_to
from ..step import Step


class _Status(msgspec.Struct):
    status: ResultStatus


_read_status = msgspec.json.Decoder(_Status).decode


def finish(context: Context, batch: Batch) -> BatchOutcome:
    """Write the manifest: the parts in order, their counts and hashes."""
    shards = context.store.get_shards(batch)
    parts = tuple(_audit(context, shard) for shard in shards)
    counts = _add_up(parts)
    state, failure = _final_state(batch, shards)
    if state is not State.FAILED and counts.written != counts.total:
        state, failure = State.FAILED, _unbalanced(counts.total, counts.written)
    manifest = Manifest(
        batch_id=batch.id,
        provider=batch.provider,
        model=batch.model,
        status=BatchStatus(state.value),
        request_counts=counts,
        created_at=iso_time(batch.created_at),
        completed_at=iso_time(context.store.now()),
        error=failure,
        metadata=batch.metadata,
        dropped=batch.dropped,
        adjusted=batch.adjusted,
        unexpected=sum(shard.part.unexpected for shard in shards if shard.part),
        repaired=sum(shard.part.repaired for shard in shards if shard.part),
        storage=context.storage.address,
        parts=parts,
    )
    name = batch_object(batch, "manifest")
    with context.storage.write(name) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(manifest)))
    return batch_to(state, manifest=name, failure=failure)


def _audit(context: Context, shard: Shard) -> ManifestPart:
    """One part of the manifest, counted and hashed from what is really in it."""
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()
    size = 0
    if shard.part is not None:
        with context.storage.open(shard.part.name) as stream:
            for line in stream:
                digest.update(line)
                size += len(line)
                counts[_read_status(line).status] += 1
    return ManifestPart(
        shard=shard.id,
        state=shard.state.value,
        job_id=shard.job.id if shard.job else None,
        rows=shard.rows - shard.retried,
        retried=shard.retried,
        first_row=shard.first_row,
        results=shard.part.name if shard.part else None,
        row_ids=shard.part.row_ids or shard.row_ids if shard.part else shard.row_ids,
        size=size,
        sha256=digest.hexdigest(),
        request_counts=ResultCounts(**counts),
    )


def _add_up(parts: Sequence[ManifestPart]) -> ManifestCounts:
    sums = {status.value: sum(part.request_counts[status] for part in parts) for status in ResultStatus}
    return ManifestCounts(total=sum(part.rows for part in parts), **sums)


def _final_state(batch: Batch, shards: Sequence[Shard]) -> tuple[State, Failure | None]:
    if batch.failure is not None and (batch.failure.type != BatchExpiredError.type or not shards):
        return State.FAILED, batch.failure
    unwritten = next((shard for shard in shards if shard.part is None), None)
    if unwritten is not None:
        return State.FAILED, unwritten.failure
    states = {shard.state for shard in shards}
    if states == {State.FAILED}:
        return State.FAILED, shards[0].failure
    if batch.failure is not None and states & {State.CANCELLED, State.FAILED}:
        return State.EXPIRED, batch.failure
    for state in (State.CANCELLED, State.EXPIRED):
        if state in states:
            return state, None
    return State.COMPLETED, None


def _unbalanced(asked: int, written: int) -> Failure:
    return Failure(type="internal_error", message=f"{asked} requests went in, {written} results were written")


STEP = Step(finish)
