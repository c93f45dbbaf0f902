"""How a batch stands, in the words that users see."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from ..core import (
    BatchError,
    BatchStatus,
    BatchStatusResponse,
    ErrorReason,
    NoticeStatus,
    ReasonCounter,
    RequestCounts,
    ResultStatus,
    ShardStatus,
    Tokens,
    add_up,
)
from ..core.times import iso_time
from ..exceptions import ProviderNotFoundError
from ..road.context import Context
from ..road.costs import Cost, cost_of
from ..road.records import read_record
from ..state.items import Batch, Notice, Shard
from ..state.table import State


def describe_batch(context: Context, batch: Batch) -> BatchStatusResponse:
    """The status of a batch and of its shards."""
    shards = context.store.get_shards(batch)
    final = batch.state.is_final
    cost = Cost(batch.cost, batch.known_cost) if final else cost_of(shard for shard in shards if shard.part)
    expiry = [shard.job.expires_at for shard in shards if shard.job and shard.job.expires_at]
    return BatchStatusResponse(
        batch_id=batch.id,
        provider=batch.provider,
        model=batch.model,
        credential=batch.credential,
        status=_status(batch, shards),
        request_counts=_counts(batch, shards),
        invalid=sum(shard.part.invalid for shard in shards if shard.part),
        tokens=_tokens(batch, shards),
        cost=cost.total,
        known_cost=cost.known,
        created_at=iso_time(batch.created_at),
        completed_at=iso_time(batch.ended_at or batch.updated_at) if final else None,
        expires_at=iso_time(max(expiry)) if expiry else None,
        error=_error(context, batch),
        reasons=_reasons(batch, shards),
        waiting_for=None if final else _waiting_for(context, batch, shards),
        shards=tuple(map(_describe_shard, shards)),
        notices=tuple(map(_describe_notice, context.store.get_notices(batch))),
        metadata=dict(batch.metadata),
        timeout=batch.timeout,
    )


def _status(batch: Batch, shards: Sequence[Shard]) -> BatchStatus:
    if batch.state.is_final:
        return BatchStatus(batch.state.value)
    moving = [shard for shard in shards if not shard.state.is_final]
    if moving and all(shard.state is State.PARKED for shard in moving):
        return BatchStatus.PARKED
    if batch.cancel:
        return BatchStatus.CANCELLING
    if batch.state is State.QUEUED:
        return BatchStatus.VALIDATING if batch.claimed_by else BatchStatus.QUEUED
    return BatchStatus.IN_PROGRESS


def _counts(batch: Batch, shards: Sequence[Shard]) -> RequestCounts:
    ended = Counter(batch.result_counts if batch.state.is_final else {})
    if not ended:
        for shard in shards:
            ended.update(_ended(shard))
    total = batch.rows or 0
    return RequestCounts(total=total, processing=total - ended.total(), **ended)


def _ended(shard: Shard) -> dict[str, int]:
    """How many rows of a shard ended how: from its results, or until they are there what the provider says."""
    if (part := shard.part) is not None:
        return {status.value: getattr(part, status) for status in ResultStatus}
    if (job := shard.job) is not None:
        succeeded = min(job.completed, shard.rows)
        return {"succeeded": succeeded, "errored": min(job.failed, shard.rows - succeeded)}
    return {"succeeded": min(shard.progress.completed, shard.rows)} if shard.progress else {}


def _reasons(batch: Batch, shards: Sequence[Shard]) -> tuple[ErrorReason, ...]:
    if batch.state.is_final:
        return batch.reasons
    return ReasonCounter(each for shard in shards if shard.part for each in shard.part.reasons).most_common()


def _tokens(batch: Batch, shards: Sequence[Shard]) -> Tokens:
    return batch.tokens if batch.state.is_final else add_up(shard.part.tokens for shard in shards if shard.part)


def _error(context: Context, batch: Batch) -> BatchError | None:
    if batch.report is not None and not batch.erased:
        return read_record(context.storage, batch.id, batch.report, BatchError)
    failure = batch.failure or batch.error
    return None if failure is None else BatchError(**msgspec.structs.asdict(failure))


def _waiting_for(context: Context, batch: Batch, shards: Sequence[Shard]) -> str | None:
    """Why nothing moves, where something is amiss: an item that cannot be read, then a step's trouble, then a queue."""
    for each in context.store.quarantined_of(batch)[:1]:
        remedy = f"mend it or restore it from a backup, then `batch-router resume {batch.id}`"
        return f"{each.id} is in the quarantine ({each.reason}): {remedy}"
    items: list[Batch | Shard] = [batch, *shards]
    if held := [item for item in items if item.error is not None and not item.state.is_final]:
        return _why_held(held)
    try:
        own = context.clients.provider(batch.provider).queue
    except ProviderNotFoundError as error:
        return f"{error}; workers that have it take the batch on"
    queues = {item.queue or own or item.state.queue for item in items if not item.state.is_final}
    deaf = sorted(str(queue) for queue in queues if not context.store.listeners(str(queue)))
    if deaf:
        return f"no worker listens on the queue {deaf[0]!r}: start one with -Q {deaf[0]}"
    return None


def _why_held(held: Sequence[Batch | Shard]) -> str:
    """What one item waits for, since when and until when, one that needs the operator first; the others are counted."""
    first = min(held, key=lambda item: (item.state is not State.PARKED, item.held_since or 0))
    message = first.error.message if first.error else ""
    times = [f"since {iso_time(first.held_since)}"] if first.held_since else []
    times += [f"next try at {iso_time(first.retry_at)}"] if first.retry_at else []
    said = "; ".join([f"{first.id} is {first.state}: {message}", *times])
    others = Counter(_reason(item) for item in held if item is not first)
    more = ", ".join(f"{count} {reason}" for reason, count in others.most_common())
    return f"{said} ({others.total()} more wait: {more})" if others else said


def _reason(item: Batch | Shard) -> str:
    return State.PARKED.value if item.state is State.PARKED or item.error is None else item.error.type


def _describe_shard(shard: Shard) -> ShardStatus:
    job, progress = shard.job, None if shard.job else shard.progress
    done = progress.completed if progress else job.completed if job else 0
    is_held = shard.error is not None and not shard.state.is_final
    rate = progress.rate if progress and shard.claimed_by else 0  # what waits has no rate
    return ShardStatus(
        id=shard.id,
        state=shard.state.value,
        model=shard.model,
        rows=shard.rows,
        job_id=job.id if job else None,
        job_status=job.status if job else None,
        completed=done,
        failed=job.failed if job else 0,
        rows_per_s=round(rate, 2) if rate else None,
        eta_s=round((shard.rows - done) / rate) if rate else None,
        polls=shard.polls,
        attempts=shard.attempts,
        held_since=iso_time(shard.held_since) if is_held and shard.held_since else None,
        next_try=iso_time(shard.retry_at) if is_held and shard.retry_at else None,
        tokens=shard.part.tokens if shard.part else Tokens(),
        cost=shard.part.cost if shard.part else None,
        claimed_by=shard.claimed_by,
        error=shard.failure or shard.error,
        left_behind=shard.left_behind,
    )


def _describe_notice(notice: Notice) -> NoticeStatus:
    return NoticeStatus(
        id=notice.id,
        state=notice.state.value,
        task=notice.task,
        event=None if notice.event is None else notice.event.type,
        sent_at=iso_time(notice.sent_at) if notice.sent_at else None,
        answer=notice.answer,
        attempts=notice.attempts,
        next_try=iso_time(notice.retry_at) if notice.retry_at else None,
        error=notice.failure or notice.error,
    )
