"""What nobody owns: jobs of ours at the providers whose answers no shard would fetch, payloads of no batch."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..core.jobs import Job
from ..road.context import Context
from ..road.layout import FOLDERS
from ..state.items import Shard
from ..state.table import is_final

# A caller may still be writing the rows of a batch that it is about to submit.
_YOUNG = 86400.0
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


def find_strays(context: Context) -> Iterator[Path]:
    """Folders of batches that the store does not know: their caller died while it submitted, or the state was lost."""
    before = time.time() - _YOUNG
    for folder in context.storage.path(FOLDERS).glob("*/*"):
        with suppress(FileNotFoundError):  # purged meanwhile
            if folder.stat().st_mtime < before and context.store.get_batch(folder.name) is None:
                yield folder


def accounts_of(context: Context) -> set[tuple[str, str | None]]:
    """Provider and credential of all shards of the store."""
    return {(shard.provider, shard.credential) for shard in _shards(context)}


def _shards(context: Context) -> Iterator[Shard]:
    for batch in context.store.list_batches(sys.maxsize):
        yield from context.store.get_shards(batch)
