"""Which job is a shard's: by its label, or by the upload that it was made of where the service shows no labels.

A provider that shows the label of a job only when it has ended (Anthropic) has jobs that may be the shard's: those that
have as many rows, and that no shard owns. While there is one, nothing is decided.
"""

from typing import NamedTuple

from ..core import BatchStatus
from ..core.jobs import Job
from ..state.items import Shard
from ..state.walks import Walk
from .context import Context, Running
from .walk import by_label, by_rows, by_upload, walk_jobs

_CANCELLED = (BatchStatus.CANCELLED, BatchStatus.CANCELLING)


class Look(NamedTuple):
    """What a look at the provider's list of jobs tells of a shard.

    Attributes:
        began_at: by the store's clock.
        job: the shard's.
        candidates: the ids of jobs that may be the shard's.
    """

    began_at: float
    job: Job | None
    candidates: tuple[str, ...]


def look(running: Running, shard: Shard, after: float, uploads: frozenset[str] = frozenset()) -> Look | None:
    """Look for the job that an earlier attempt to create it may have made.

    Args:
        running: the step that looks.
        shard: whose job it is.
        after: by the store's clock; an answer that another worker got later will do.
        uploads: the provider's names of the shard's uploaded rows, beside the one that the shard has.

    Returns:
        None while another worker walks through the account's jobs.
    """
    uploads |= {shard.upload} if shard.upload is not None else set()
    keys = [by_label(shard.label), *map(by_upload, sorted(uploads)), by_rows(shard.rows), by_rows(0)]
    walk: Walk | None = running.store.get_walk(running.account_of(shard), keys)
    if walk is None or walk.began_at <= after or walk.since > shard.submitted_at or _has_unread(walk):
        walk = walk_jobs(running, shard, keys)
    if walk is None:
        return None
    ours = [job for job in walk.jobs if job.label == shard.label or (job.label is None and job.upload in uploads)]
    ours.sort(key=lambda job: job.status in _CANCELLED)  # of two jobs, one was taken back by its creator
    return Look(walk.began_at, next(iter(ours), None), _candidates(running, shard, walk))


def visibility(context: Context, shard: Shard) -> float:
    """Seconds after which a job that was made is listed."""
    own = context.settings.visibility
    return context.clients.provider(shard.provider).visibility if own is None else own


def _has_unread(walk: Walk) -> bool:
    """Whether there are jobs whose labels could be read; the walk was made for a shard with another number of rows."""
    return any(_shows_nothing(job) and job.status.is_final for job in walk.jobs)


def _candidates(context: Context, shard: Shard, walk: Walk) -> tuple[str, ...]:
    unknown = [job.id for job in walk.jobs if _shows_nothing(job)]
    owned = context.store.owned_jobs(context.account_of(shard), unknown)
    return tuple(job_id for job_id in unknown if job_id not in owned)


def _shows_nothing(job: Job) -> bool:
    return job.label is None and job.upload is None
