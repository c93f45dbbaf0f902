"""Jobs at the providers that are ours and that no shard owns: nobody would fetch their answers."""

import re
import sys
from collections.abc import Iterator

from ..core.jobs import Job
from ..state.items import Shard
from ..state.table import is_final
from .context import Context

_TOKEN = re.compile(r"[0-9a-f]{16}")


def find_orphans(context: Context, provider: str, credential: str | None, limit: int) -> Iterator[Job]:
    """Those among the account's newest jobs that carry a token like ours.

    A shard that is still deciding what came of an attempt will find its job by itself: that is none. What another
    store made on the same account looks the same as ours.
    """
    shards = [shard for shard in _shards(context) if shard.provider == provider]
    owned = {shard.job.id for shard in shards if shard.job is not None} | context.store.forgotten_jobs()
    undecided = {shard.token for shard in shards if shard.job is None and not is_final(shard.state)}
    for job in context.clients.get(provider, credential).list(limit):
        if job.token is None or not _TOKEN.fullmatch(job.token):
            continue
        if job.id not in owned and job.token not in undecided:
            yield job


def accounts_of(context: Context) -> set[tuple[str, str | None]]:
    """Provider and credential of all shards of the store."""
    return {(shard.provider, shard.credential) for shard in _shards(context)}


def _shards(context: Context) -> Iterator[Shard]:
    for batch in context.store.list_batches(sys.maxsize):
        yield from context.store.get_shards(batch)
