"""A walk through the jobs of an account, newest first: one serves all shards of the fleet that ask the same.

What it found lies in the store, by what a shard asks for. A shard that looks for its job asks for the label of a job,
the upload that it was made of, or its number of rows, where a list shows neither. Jobs that a shard owns are left out
then, and so are those that did nothing: they may belong to an earlier round.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from ..core.jobs import Job
from ..security.logs import get_logger
from ..security.names import LABEL
from ..state.items import Shard
from ..state.walks import Walk
from .context import Context
from .labels import labelled
from .reported import sound

# Jobs that are looked at together: a page of a list.
_PAGE = 100
# Jobs that the store keeps of a walk. Of more, as many as an account that others fill with jobs may have, each shard
# walks by itself.
_MOST_KEPT = 10_000

log = get_logger(__name__)
T = TypeVar("T")


def walk_jobs(context: Context, shard: Shard, keys: Sequence[str]) -> Walk | None:
    """Walk through the jobs of a shard's account that no shard owns; see `walk_account`, and `key_of` for the keys.

    The labels of jobs with as many rows as the shard has are read.
    """
    account = context.account_of(shard)

    def free_jobs(page: Sequence[Job]) -> Iterator[tuple[str, Job]]:
        owned = context.store.owned_jobs(account, [job.id for job in page])
        free = [job for job in page if job.id not in owned and not job.did_nothing]
        for job in _told_apart(context, shard, free):
            if (key := key_of(job)) is not None:
                yield key, job

    return walk_account(context, shard, account, keys, free_jobs, shard.submitted_at)


def walk_account(
    context: Context,
    shard: Shard,
    name: str,
    keys: Sequence[str],
    read: Callable[[Sequence[Job]], Iterable[tuple[str, Job]]],
    since: float,
) -> Walk | None:
    """Walk through the jobs of a shard's account.

    Args:
        context: of the step that walks.
        shard: whose account it is.
        name: of the walk in the store: of the account, and of what is asked.
        keys: what the answer is to have. Of too many jobs, only those are kept.
        read: the jobs of a page that may be asked for, each with the key that it is found by.
        since: how far back (seconds since 1970, by the store's clock).

    Returns:
        None where another worker walks: its answer is in the store soon.
    """
    began_at = context.store.begin_walk(name, shard.id, shard.version)
    if began_at is None:
        return None
    client = context.client_of(shard)
    walk = Walk(began_at, since)
    found: dict[str, list[Job]] = {key: [] for key in keys}
    kept = 0
    listed = (sound(shard.provider, job) for job in client.list(max(0.0, began_at - since)))
    for page in _pages(listed, _PAGE):
        for key, job in read(page):
            if key in keys or kept < _MOST_KEPT:
                found.setdefault(key, []).append(_slim(job))
                kept += 1
    if kept < _MOST_KEPT:
        context.store.end_walk(name, shard.id, walk, {key: jobs for key, jobs in found.items() if jobs})
    log.info("action=walked name=%s item=%s kept=%d", name, shard.id, kept)
    return walk._replace(jobs=tuple(job for key in keys for job in found[key]))


def key_of(job: Job) -> str | None:
    """What a job is found by; None: it is none of ours."""
    if job.label is not None:
        return by_label(job.label) if LABEL.fullmatch(job.label) else None
    return by_rows(job.rows or 0) if job.upload is None else by_upload(job.upload)


def by_label(label: str) -> str:
    """What a job with that label is found by."""
    return f"label:{label}"


def by_id(job_id: str) -> str:
    """What a job is found by that a shard has."""
    return f"id:{job_id}"


def by_upload(upload: str) -> str:
    """What a job is found by that was made of this upload, and shows no label."""
    return f"upload:{upload}"


def by_rows(rows: int) -> str:
    """What a job of so many rows is found by that shows neither; 0: it does not even show that."""
    return f"rows:{rows}"


def _slim(job: Job) -> Job:
    """The job without what grows: its owner polls it before it reads that."""
    return msgspec.structs.replace(job, outputs=(), refused=(), error=None, word=None)


def _told_apart(context: Context, shard: Shard, jobs: list[Job]) -> Iterable[Job]:
    """The jobs with labels, as far as the shard needs them; a label that is not listed costs a request."""
    if context.clients.provider(shard.provider).labelled:
        return (job for job in jobs if job.label is not None or job.upload is not None)
    alike = [job for job in jobs if job.rows in (None, shard.rows)]
    others = [job for job in jobs if job.rows not in (None, shard.rows)]
    return [*labelled(context, shard.provider, shard.credential, alike), *others]


def _pages(values: Iterator[T], size: int) -> Iterator[list[T]]:
    while page := list(islice(values, size)):
        yield page
