"""A walk through the jobs of an account, newest first: one serves all shards of the fleet that look for theirs.

What it found lies in the store, by what a shard asks for: the label of a job, the upload that it was made of, or its
number of rows, where a list shows neither. Jobs that a shard owns are left out, and so are those that did nothing: they
may belong to an earlier round.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from ..core.jobs import Job
from ..security.logs import get_logger
from ..security.names import LABEL
from ..state.items import Shard
from ..state.walks import Walk
from .context import Running
from .labels import labelled
from .reported import sound

# Jobs that are looked at together: a page of a list.
_PAGE = 100
# Jobs that the store keeps of a walk. Of more, as many as an account that others fill with jobs may have, each shard
# walks by itself.
_MOST_KEPT = 10_000

log = get_logger(__name__)
T = TypeVar("T")


def walk_jobs(running: Running, shard: Shard, keys: Sequence[str]) -> Walk | None:
    """Walk through the jobs of a shard's account as far back as the shard's submission.

    Args:
        running: the step that walks.
        shard: whose account it is; the labels of jobs with as many rows are read.
        keys: what the answer is to have, see `key_of`. Of too many jobs, only those are kept.

    Returns:
        None where another worker walks: its answer is in the store soon.
    """
    account = running.account_of(shard)
    began_at = running.store.begin_walk(account, shard.id, shard.version)
    if began_at is None:
        return None
    client = running.client_of(shard)
    walk = Walk(began_at, shard.submitted_at)
    found: dict[str, list[Job]] = {key: [] for key in keys}
    kept = 0
    listed = (sound(shard.provider, job) for job in client.list(max(0.0, began_at - shard.submitted_at)))
    for page in _pages(listed, _PAGE):
        owned = running.store.owned_jobs(account, [job.id for job in page])
        free = [job for job in page if job.id not in owned and not job.did_nothing]
        for job in _told_apart(running, shard, free):
            key = key_of(job)
            if key is not None and (key in keys or kept < _MOST_KEPT):
                found.setdefault(key, []).append(_slim(job))
                kept += 1
    if kept < _MOST_KEPT:
        running.store.end_walk(account, shard.id, walk, {key: jobs for key, jobs in found.items() if jobs})
    log.info("action=walked account=%s item=%s kept=%d", account, shard.id, kept)
    return walk._replace(jobs=tuple(job for key in keys for job in found[key]))


def key_of(job: Job) -> str | None:
    """What a job is found by; None: it is none of ours."""
    if job.label is not None:
        return by_label(job.label) if LABEL.fullmatch(job.label) else None
    return by_rows(job.rows or 0) if job.upload is None else by_upload(job.upload)


def by_label(label: str) -> str:
    """What a job with that label is found by."""
    return f"label:{label}"


def by_upload(upload: str) -> str:
    """What a job is found by that was made of this upload, and shows no label."""
    return f"upload:{upload}"


def by_rows(rows: int) -> str:
    """What a job of so many rows is found by that shows neither; 0: it does not even show that."""
    return f"rows:{rows}"


def _slim(job: Job) -> Job:
    """The job without what grows: its owner polls it before it reads that."""
    return msgspec.structs.replace(job, outputs=(), refused=(), error=None, word=None)


def _told_apart(running: Running, shard: Shard, jobs: list[Job]) -> Iterable[Job]:
    """The jobs with labels, as far as the shard needs them; a label that is not listed costs a request."""
    if running.clients.provider(shard.provider).labelled:
        return (job for job in jobs if job.label is not None or job.upload is not None)
    alike = [job for job in jobs if job.rows in (None, shard.rows)]
    others = [job for job in jobs if job.rows not in (None, shard.rows)]
    return [*labelled(running, shard.provider, shard.credential, alike), *others]


def _pages(values: Iterator[T], size: int) -> Iterator[list[T]]:
    while page := list(islice(values, size)):
        yield page
