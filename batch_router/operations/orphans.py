"""Orphans: our jobs at the providers whose answers no shard will fetch, and payloads of no batch."""

import math
import time
from collections.abc import Iterator
from itertools import islice

from ..core.jobs import Account, Job
from ..road.context import Context
from ..road.labels import labelled
from ..road.reported import sound
from ..security.names import LABEL
from ..security.paths import FOLDERS

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
    jobs = [sound(provider, each) for each in islice(client.list(math.inf), limit)]
    owned = context.store.owned_jobs(account, [job.id for job in jobs]) - context.store.unfetched_jobs_of(account)
    others = list(labelled(context, provider, credential, (job for job in jobs if job.id not in owned)))
    labels = {job.label for job in others if job.label is not None and LABEL.fullmatch(job.label)}
    decided = labels - context.store.undecided(labels)
    return (job for job in others if job.label in decided)


def find_strays(context: Context) -> Iterator[str]:
    """Folders of batches that the store does not know: their caller died while it submitted, or the state was lost."""
    before = time.time() - _YOUNG
    newest: dict[str, float] = {}
    for found in context.storage.list(FOLDERS):
        folder = "/".join(found.name.split("/")[:_DEPTH])
        newest[folder] = max(newest.get(folder, 0), found.modified_at)
    old = {folder: folder.rpartition("/")[2] for folder, at in sorted(newest.items()) if at < before}
    unknown = set(context.store.unknown(list(old.values())))
    return (folder for folder, batch_id in old.items() if batch_id in unknown)
