"""An operator's decision about a parked shard: this is its job, or there is none."""

from ..exceptions import BatchNotFoundError, ValidationError
from ..road.context import Context
from ..road.jobs import new_round
from ..state.base import Commit
from ..state.items import Shard, ShardFacts, batch_id_of
from ..state.table import State, check_transition


def resolve(context: Context, item_id: str, *, attach: str | None = None, recreate: bool = False) -> Shard:
    """Let a parked shard go on.

    Args:
        context: the operator's; with the provider's key, if `attach` is used.
        item_id: the shard, or its batch if only one of its shards is parked.
        attach: the provider's id of the job that the shard is to own; it is looked up first.
        recreate: there is no job at the provider, and there will be none: upload and create again.

    Raises:
        BatchNotFoundError: there is no such batch or shard.
        ValidationError: it is not parked, or not exactly one decision was given.
        ProviderAPIError: the job cannot be looked up.
    """
    if (attach is not None) == recreate:
        raise ValidationError("decide: --attach JOB if the provider has the job, or --recreate if it has none")
    shard = _parked_shard(context, item_id)
    state, facts = State.UPLOADING, new_round(shard)
    if attach is not None:
        state, facts = State.POLLING, ShardFacts(job=context.client_of(shard).get(attach), intent=None)
    check_transition(shard.state, state)
    facts |= {"error": None, "attempts": 0}
    commit = Commit(state, 0, facts)
    if context.store.commit(shard.id, shard.version, commit, holder=context.worker) is None:
        raise ValidationError(f"{shard.id} was resolved by another call just now; look at `batch-router status`")
    return shard


def _parked_shard(context: Context, item_id: str) -> Shard:
    batch = context.store.get_batch(batch_id_of(item_id))
    if batch is None:
        raise BatchNotFoundError(item_id)
    shards = [shard for shard in context.store.get_shards(batch) if item_id in (shard.id, batch.id)]
    if not shards:
        raise BatchNotFoundError(item_id)
    parked = [shard for shard in shards if shard.state is State.PARKED]
    if not parked:
        raise ValidationError(f"{item_id} is not parked: there is nothing to decide")
    if len(parked) > 1:
        names = ", ".join(shard.id for shard in parked)
        raise ValidationError(f"{item_id} has {len(parked)} parked shards; name one of them: {names}")
    return parked[0]
