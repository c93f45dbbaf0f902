"""An operator's decision about a parked shard: this is its job, there is none, or it does not matter any more."""

import secrets

from ..core.jobs import Job
from ..exceptions import BatchNotFoundError, ValidationError
from ..road.context import Context
from ..road.jobs import new_round
from ..road.labels import labelled
from ..road.reported import sound
from ..state.base import Commit
from ..state.facts import ShardFacts
from ..state.items import Shard, batch_id_of
from ..state.table import State, check_transition


def resolve(
    context: Context, item_id: str, *, attach: str | None = None, recreate: bool = False, give_up: bool = False
) -> Shard:
    """Let a parked shard go on, or end.

    Args:
        context: the operator's; with the provider's key, if `attach` is used.
        item_id: the shard, or its batch if only one of its shards is parked.
        attach: the provider's id of the job that the shard is to own; it must have the shard's rows.
        recreate: there is no job at the provider, and there will be none: upload and create again.
        give_up: the rows without an answer end as `undecided`, whether a job has them or not.

    Raises:
        BatchNotFoundError: there is no such batch or shard.
        ValidationError: it is not parked, not exactly one decision was given, or the job is not the shard's.
        ProviderAPIError: the job cannot be looked up.
    """
    if [attach is not None, recreate, give_up].count(True) != 1:
        raise ValidationError(
            "decide: --attach JOB if the provider has the job, --recreate if it has none, --give-up if you cannot tell"
        )
    shard = _parked_shard(context, item_id)
    if attach is not None:
        state, facts = State.POLLING, ShardFacts(job=_own_job(context, shard, attach), intent=None)
    elif recreate:
        state, facts = State.UPLOADING, new_round(shard) | ShardFacts(job=None)
    else:
        state, facts = State.PARKED, ShardFacts(given_up=True, error=shard.error)
    check_transition(shard.state, state)
    commit = Commit(state, 0, ShardFacts(error=None, attempts=0) | facts)
    holder = f"{context.worker}/{secrets.token_hex(4)}"  # of this decision alone: another one is no repetition of it
    if context.store.decide(shard, commit, holder=holder) is None:
        raise ValidationError(f"{shard.id} has changed just now; look at `batch-router status {shard.batch}`")
    return shard


def _own_job(context: Context, shard: Shard, job_id: str) -> Job:
    """The job, if it is the shard's: by its label, or where the provider shows none, by its rows."""
    client = context.client_of(shard)
    job = sound(shard.provider, client.get(job_id))
    if shard.job is not None and shard.job.id == job.id:
        return job
    if context.store.owned_jobs(context.account_of(shard), [job.id]):
        raise ValidationError(f"{job.id} is the job of another shard; {shard.id} cannot have it")
    if job.label is None and not job.status.is_final:
        raise ValidationError(
            f"{job.id} still runs, and {shard.provider} shows only at the end whose rows a job has: attach it then"
        )
    (job,) = labelled(context, shard.provider, shard.credential, [job])
    is_made_of_its_rows = job.label is None and job.upload is not None and job.upload == shard.upload
    if job.label != shard.label and not is_made_of_its_rows:
        raise ValidationError(
            f"{job.id} has other rows than {shard.id}: its label is {job.label or 'none'}, the shard's is {shard.label}"
        )
    return job


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
