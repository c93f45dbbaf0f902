"""Whether the list of an account's jobs shows one that the provider says it does not have.

One walk serves all such shards of an account for an hour. It is another walk than that of shards that look for a job:
theirs leaves out the jobs that shards own.
"""

from collections.abc import Iterator, Sequence

from ..core.jobs import Job
from ..security.names import LABEL
from ..state.items import Shard
from .context import Context
from .walk import by_id, by_label, walk_account


def is_listed(context: Context, shard: Shard, job: Job, after: float) -> bool | None:
    """Whether the account's jobs show the shard's, by its id or its label.

    Args:
        context: of the step that asks.
        shard: whose job it is.
        job: the shard's.
        after: by the store's clock; the answer of a walk that began later will do.

    Returns:
        None while another worker walks through the account's jobs.
    """
    account = context.account_of(shard)
    keys = [by_id(job.id), by_label(shard.label)]

    def ours(page: Sequence[Job]) -> Iterator[tuple[str, Job]]:
        owned = context.store.owned_jobs(account, [each.id for each in page])
        for each in page:
            if each.id in owned or each.id == job.id:
                yield by_id(each.id), each
            elif each.label is not None and LABEL.fullmatch(each.label):
                yield by_label(each.label), each

    name = f"listed:{account}"
    walk = context.store.get_walk(name, keys)
    if walk is None or walk.began_at <= after or walk.since > shard.submitted_at:
        walk = walk_account(context, shard, name, keys, ours, shard.submitted_at)
    return None if walk is None else bool(walk.jobs)
