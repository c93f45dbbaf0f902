"""Orphans: our jobs at the providers whose answers no shard will fetch, and payloads of no batch."""

import time
from collections.abc import Iterator

from ..core.jobs import Account, Job
from ..exceptions import CorruptItemError, SchemaError
from ..road.context import Context
from ..road.reported import sound
from ..security.names import LABEL
from ..security.paths import FOLDERS
from ..state.checks import passed_over
from ..state.items import Shard

# A caller may still be writing the rows of a batch that it is about to submit.
_YOUNG = 86400.0
_DEPTH = 3  # folders, provider, batch


def find_orphans(context: Context, provider: str, credential: str | None, limit: int) -> Iterator[Job]:
    """The jobs among the account's newest that have a label like ours and no shard, or one that lacks their answers.

    A shard that still looks for the job of an earlier attempt finds it by itself: its job is not listed. Jobs that
    another store made on the same account look like ours.
    """
    client = context.clients.get(provider, credential)
    account = Account(service=client.access.service, credential=credential).name
    owned = context.store.jobs_of(account) - context.store.unfetched_jobs_of(account)
    undecided = {shard.label for shard in _shards(context) if shard.job is None and not shard.state.is_final}
    for job in (sound(provider, each) for each in client.list(limit)):
        if job.label is None or not LABEL.fullmatch(job.label):
            continue
        if job.id not in owned and job.label not in undecided:
            yield job


def find_strays(context: Context) -> Iterator[str]:
    """Folders of batches that the store does not know: their caller died while it submitted, or the state was lost."""
    before = time.time() - _YOUNG
    newest: dict[str, float] = {}
    for found in context.storage.list(FOLDERS):
        folder = "/".join(found.name.split("/")[:_DEPTH])
        newest[folder] = max(newest.get(folder, 0), found.modified_at)
    for folder, modified_at in sorted(newest.items()):
        if modified_at < before and not _is_known(context, folder.rpartition("/")[2]):
            yield folder


def _is_known(context: Context, batch_id: str) -> bool:
    try:
        return context.store.get_batch(batch_id) is not None
    except (SchemaError, CorruptItemError):  # it is there
        return True


def accounts_of(context: Context) -> set[tuple[str, str | None]]:
    """Provider and credential of all shards of the store."""
    return {(shard.provider, shard.credential) for shard in _shards(context)}


def _shards(context: Context) -> Iterator[Shard]:
    for batch in context.store.iter_batches():
        with passed_over():
            yield from context.store.get_shards(batch)
