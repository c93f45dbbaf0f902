"""A batch that ended with a loss goes on once the cause is gone: what went wrong is repeated, nothing bought twice."""

from collections.abc import Sequence

from ..core import ErrorType
from ..exceptions import BatchExpiredError, ValidationError
from ..road.accepted import was_retried
from ..road.context import Context
from ..road.jobs import new_round
from ..state.base import Commit, Reopened
from ..state.facts import BatchFacts, ShardFacts
from ..state.items import Batch, Shard, retry_id
from ..state.table import State, check_reopening


def resume(context: Context, batch: Batch) -> list[str]:
    """Have a batch go on that ended with a loss; or one that has items in the quarantine, which were mended.

    Returns:
        The ids of the items that go on.

    Raises:
        ValidationError: nothing of it can be taken up, or it changed just now; says why.
    """
    if not batch.state.is_final:
        if released := context.store.release(batch.id):
            return released
        raise ValidationError(f"{batch.id} has not ended; `batch-router status {batch.id}` says what it waits for")
    if (why := _refusal(context, batch)) is not None:
        raise ValidationError(f"{batch.id} cannot be taken up: {why}")
    commit, shards = _plan(context, batch, context.store.get_shards(batch))
    check_reopening(batch.state, commit.state)
    for each in shards:
        check_reopening(each.shard.state, each.state)
    hints = context.store.reopen(batch, commit, shards)
    if hints is None:
        raise ValidationError(f"{batch.id} has changed just now; look at `batch-router status {batch.id}`")
    return [hint.id for hint in hints]


def _refusal(context: Context, batch: Batch) -> str | None:
    if batch.purging:
        return "it is being purged"
    if was_retried(context, batch):
        return f"its failed rows were sent again as {batch.retried_as or retry_id(batch.id)}"
    if batch.report is not None:
        return "its rows were refused; submit them again without the mistakes that `batch-router status` lists"
    if batch.erased:
        return "its rows were deleted a while after its end, as BATCH_ROUTER_KEEP_PAYLOADS says"
    if batch.retired:
        return (
            "its shards were forgotten a while after its end, as BATCH_ROUTER_KEEP_SHARDS says; "
            f"`batch-router retry {batch.id}` sends its failed rows again"
        )
    return None


def _plan(context: Context, batch: Batch, shards: Sequence[Shard]) -> tuple[Commit, list[Reopened]]:
    """What the batch does next, and the shards that go on.

    Raises:
        ValidationError: it has no loss that could be made good.
    """
    facts = BatchFacts(
        failure=None,
        error=None,
        attempts=0,
        held_since=None,
        retry_at=None,
        ended_at=None,
        result_counts={},
        notified=False,
        resumed=batch.resumed + 1,
    )
    if batch.rows is None and batch.failure is not None and batch.failure.type != BatchExpiredError.type:
        return Commit(State.QUEUED, 0, facts), []
    if _lacks_shards(batch, shards):  # cut again, in doubt: each shard looks for its answers and its job
        return Commit(State.QUEUED, 0, facts, forget=True), []
    if lost := [each for shard in shards if (each := _take_up(context, shard)) is not None]:
        return Commit(State.RUNNING, None, facts, grace=context.settings.grace), lost
    if batch.rows is not None and batch.manifest is None:
        return Commit(State.FINISHING, 0, facts), []
    raise ValidationError(
        f"{batch.id} has lost nothing that could be taken up; `batch-router retry {batch.id}` sends failed rows again"
    )


def _lacks_shards(batch: Batch, shards: Sequence[Shard]) -> bool:
    asked = batch.rows or 0
    is_written = sum(batch.result_counts.values()) == asked
    return not is_written and sum(shard.rows - shard.retried for shard in shards) != asked


def _take_up(context: Context, shard: Shard) -> Reopened | None:
    """How a shard goes on that ended with a loss; None: it has none, or the provider refused its rows."""
    facts = ShardFacts(failure=None, error=None, attempts=0, held_since=None, retry_at=None, left_behind=None)
    facts |= ShardFacts(looks=0, refetches=0, absent_since=None, gap=None, lost=0, given_up=False)
    has_lost = shard.part is None or shard.unfetched or shard.failure is not None
    job = shard.job
    if not has_lost or shard.refused or (job is not None and (job.did_nothing or job.error is not None)):
        return None
    is_remote = context.clients.provider(shard.provider).remote
    if shard.part is None and (shard.answers or not is_remote):
        return Reopened(shard, State.NORMALIZING, facts)
    if not is_remote:
        return None
    if job is not None:
        return Reopened(shard, State.POLLING, facts)
    if shard.intent is not None or shard.doubt_since is not None or _is_undecided(shard):
        return Reopened(shard, State.CREATING, facts)
    return Reopened(shard, State.UPLOADING, facts | new_round(shard))


def _is_undecided(shard: Shard) -> bool:
    return shard.failure is not None and shard.failure.type == ErrorType.UNDECIDED
