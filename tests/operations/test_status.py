"""What `status` says of what waits: why, since when, and when it is tried again."""

import pytest

from batch_router.client import BatchClient
from batch_router.core import BatchStatus
from batch_router.core.jobs import Failure, Job
from batch_router.road.context import Context
from batch_router.state.base import Commit
from batch_router.state.facts import ShardFacts
from batch_router.state.table import State
from tests.items import new_shard, put_shards

SINCE, NEXT = 1_799_990_000.0, 1_800_000_300.0
SINCE_ISO, NEXT_ISO = "2027-01-15T05:13:20.000Z", "2027-01-15T08:05:00.000Z"


def held(context: Context, *waits: tuple[State, str]) -> BatchClient:
    """A batch with a shard for each: its state, and the type of what holds it up."""
    labels = [f"{number:016x}" for number in range(len(waits))]
    put_shards(context.store, *(new_shard(label=label) for label in labels))
    for number, (state, kind) in enumerate(waits):
        context.store.claim(f"b.{number}", 1, lease=10, holder="w")
        error = Failure(type=kind, message=f"the words of {kind}", retryable=True)
        is_parked = state is State.PARKED
        facts = ShardFacts(error=error, held_since=SINCE + number, retry_at=None if is_parked else NEXT)
        assert context.store.commit(f"b.{number}", 2, Commit(state, 0, facts), holder="w")
    return BatchClient(context)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (State.CREATING, "create_unknown"),
        (State.CREATING, "token_limit_exceeded"),
        (State.UPLOADING, "rate_limited"),
        (State.POLLING, "provider_unavailable"),
        (State.POLLING, "protocol_error"),  # a status word that we do not know
        (State.POLLING, "not_found"),
        (State.NORMALIZING, "storage_error"),
    ],
)
def test_what_waits_says_why_since_when_and_until_when(context: Context, state: State, kind: str) -> None:
    """In the sentence for people, and in the fields for programs."""
    status = held(context, (state, kind)).status("b")
    assert status.waiting_for == f"b.0 is {state}: the words of {kind}; since {SINCE_ISO}; next try at {NEXT_ISO}"
    assert (status.shards[0].held_since, status.shards[0].next_try) == (SINCE_ISO, NEXT_ISO)


def test_many_shards_are_counted_by_their_reasons(context: Context) -> None:
    """One that needs the operator is told first; it has no next try."""
    waits = [(State.POLLING, "rate_limited")] * 3 + [(State.DOWNLOADING, "storage_error")]
    status = held(context, *waits, (State.PARKED, "not_found"), (State.PARKED, "not_found")).status("b")
    assert status.waiting_for is not None
    first, _, rest = status.waiting_for.partition(" (")
    assert first == "b.4 is parked: the words of not_found; since 2027-01-15T05:13:24.000Z"
    assert rest == "5 more wait: 3 rate_limited, 1 storage_error, 1 parked)"
    assert status.status is BatchStatus.IN_PROGRESS


def test_what_moves_waits_for_nothing(context: Context) -> None:
    """A shard whose job runs, and one that has ended: an error of before is no reason any more."""
    client = held(context, (State.COMPLETED, "storage_error"), (State.POLLING, "not_found"))
    context.store.claim("b.1", 3, lease=10, holder="w")
    job = Job(id="j", status=BatchStatus.IN_PROGRESS, created_at=0)
    facts = ShardFacts(job=job, error=None, held_since=None, retry_at=None)
    assert context.store.commit("b.1", 4, Commit(State.POLLING, 0, facts), holder="w")
    for queue in ("poll", "cpu"):
        context.store.announce("w", [queue], ttl=9)
    status = client.status("b")
    assert status.waiting_for is None
    assert [(shard.held_since, shard.next_try) for shard in status.shards] == [(None, None)] * 2
