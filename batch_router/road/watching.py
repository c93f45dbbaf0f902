"""One look for many jobs: a walk through the list of an account, instead of a request for each of its jobs.

Where an account has many jobs, one of their shards is the **watcher**: every half minute it walks through the list, and
wakes the shards whose jobs have ended. A wake is a hint: each shard asks for its own job before it goes on, and each
asks once an hour, whatever a walk shows. So nothing is lost with a watcher. It is no item of its own: a shard that
finds the last walk too long ago walks, and goes on so until its job has ended. A few others stand by to follow it.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ..core.jobs import Job
from ..state.items import Shard
from ..state.ledger import JOBS, account_of
from .context import Context
from .outcome import ShardOutcome, shard_to
from .walk import by_id, walk_account

#: Jobs of an account and a model from which on they are looked at together.
MANY: Final = 100
#: Seconds between two walks.
WALK_EVERY: Final = 30.0

# Seconds for which a job is young, and is asked for by itself: short ones end soon.
_YOUNG = 300.0
# Seconds until a shard asks for its job that no walk has shown to have ended.
_ASK_EVERY = 3600.0
# So many walks later the watcher asks, too.
_ASK_AFTER = round(_ASK_EVERY / WALK_EVERY)
# Jobs do not run for longer than this; older ones are asked for.
_LIST_BACK = 2 * 86_400.0
_FOLLOWERS = 3


def is_watched(context: Context, shard: Shard, job: Job) -> bool:
    """Whether the shard's job is one of many, and no longer young."""
    if context.store.now() - (job.created_at or shard.created_at) < _YOUNG or shard.cancel:
        return False
    line = f"{JOBS}{account_of(shard.provider, shard.credential)}:{shard.model}"
    return context.store.get_lines([line])[0].booked >= MANY


def watch(context: Context, shard: Shard, job: Job) -> ShardOutcome | None:
    """Walk if it is time, and wake the shards whose jobs have ended; None: the shard asks for its job itself."""
    if shard.polls % _ASK_AFTER == _ASK_AFTER - 1:  # a list may lie about this very job
        return None
    name = f"watched:{context.account_of(shard)}"
    last = context.store.get_walk(name, [_follower(job)])
    if last is None or context.store.now() - last.began_at >= WALK_EVERY:
        return _walk(context, shard, job, name)
    return _come_back(shard, job) if last.jobs else None


def _walk(context: Context, shard: Shard, job: Job, name: str) -> ShardOutcome | None:
    account = context.account_of(shard)
    followers: list[Job] = []

    def read(page: Sequence[Job]) -> Iterator[tuple[str, Job]]:
        context.store.wake_owners(account, [each.id for each in page if each.status.is_final and each.id != job.id])
        for each in page:
            if each.id == job.id:
                yield by_id(each.id), each
            elif not each.status.is_final and len(followers) < _FOLLOWERS:
                followers.append(each)
                yield _follower(each), each

    walk = walk_account(context, shard, name, [by_id(job.id)], read, context.store.now() - _LIST_BACK)
    if walk is None:  # another worker walks
        return None
    for seen in walk.jobs:
        if not seen.status.is_final:
            return _come_back(shard, msgspec.structs.replace(job, completed=seen.completed, failed=seen.failed))
    context.store.wake_owners(account, [each.id for each in followers])
    return None


def _come_back(shard: Shard, job: Job) -> ShardOutcome:
    return shard_to(shard.state, WALK_EVERY, job=job, polls=shard.polls + 1)


def _follower(job: Job) -> str:
    """What the job of a shard is found by that walks when the watcher does not any more."""
    return f"follows:{job.id}"


def next_question() -> float:
    """Seconds until a shard asks for a job again that is watched."""
    return _ASK_EVERY * random.uniform(1.0, 1.1)  # noqa: S311
