"""A parked shard does not wait for ever: a cancel, the batch's time-out and `resolve --give-up` end it."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from batch_router.client import BatchClient
from batch_router.core import BatchStatus, Failure
from batch_router.exceptions import ValidationError
from batch_router.road.jobs import job_spec, stored_rows
from batch_router.state.base import Commit
from batch_router.state.facts import ShardFacts
from batch_router.state.items import Batch, Intent, Shard
from batch_router.state.table import State
from tests.operations.lab import Lab

TWO = [{"custom_id": "a", "prompt": "A"}, {"custom_id": "b", "prompt": "B"}]
UNKNOWN = {"status": "reticulating", "created_at": 1_700_000_000}


def park(lab: Lab, **options: Any) -> None:
    """A batch of one shard whose job has, long after its time, a status that means nothing to us."""
    lab.service.describe = lambda job: dict(UNKNOWN)
    lab.submit(requests=TWO, **options)
    lab.drain(lambda _: any(shard.state is State.PARKED for shard in lab.shards()))


def park_unknown(lab: Lab) -> None:
    """A batch of one shard, of which nobody knows whether the request to create its job made it; it did."""
    lab.submit(requests=TWO)
    lab.drain(lambda _: any(shard.state is State.CREATING for shard in lab.shards()))
    shard = lab.shards()[0]
    lab.context.client_of(shard).create(stored_rows(lab.context, shard), job_spec(shard))
    lab.context.store.claim(shard.id, shard.version, lease=10, holder="w")
    now = lab.context.store.now()
    unknown = Failure(type="create_unknown", message="?")
    account = lab.context.client_of(shard).access.account(None)
    lost = ShardFacts(account=account, intent=Intent(at=now, late_until=now), error=unknown)
    assert lab.context.store.commit(shard.id, shard.version + 1, Commit(State.PARKED, 0, lost), holder="w")


def cancel(lab: Lab) -> None:
    assert BatchClient(lab.context).cancel("b")


def give_up(lab: Lab) -> None:
    BatchClient(lab.context).resolve("b", give_up=True)


def wait(lab: Lab) -> None:
    """Its time-out is over in a moment."""


WAYS: dict[Callable[[Lab], None], dict[str, Any]] = {cancel: {}, give_up: {}, wait: {"timeout": 2.0}}


@pytest.mark.parametrize("way", WAYS)
def test_the_waiting_ends(lab: Lab, way: Callable[[Lab], None]) -> None:
    """Its rows end as undecided, nothing is sent again, the job was asked to cancel, and the batch has ended."""
    park(lab, **WAYS[way])
    way(lab)
    lab.drain()
    results = list(BatchClient(lab.context).results("b"))
    assert [(each.custom_id, each.error and (each.error.type, each.error.retryable)) for each in results] == [
        ("a", ("undecided", False)),
        ("b", ("undecided", False)),
    ]
    assert results[0].error
    assert "batch-0" in results[0].error.message
    assert (len(lab.service.jobs), set(lab.service.cancelled)) == (1, {"batch-0"})


def test_answers_that_are_there_by_then_are_kept(lab: Lab) -> None:
    """A cancel looks at the job once more."""
    park(lab)
    lab.service.describe = lambda job: job.done()
    cancel(lab)
    lab.drain()
    assert [each.text for each in BatchClient(lab.context).results("b")] == ["A", "B"]


@pytest.mark.parametrize("way", [cancel, give_up])
def test_a_job_that_is_found_by_then_is_not_given_up(lab: Lab, way: Callable[[Lab], None]) -> None:
    """Nobody knew whether the request had made it: it is looked for once more, and its answers are kept."""
    lab.service.describe = lambda job: job.done(created_at=int(time.time()))
    park_unknown(lab)
    way(lab)
    lab.drain()
    assert [each.text for each in BatchClient(lab.context).results("b")] == ["A", "B"]
    assert len(lab.service.jobs) == 1


def test_a_parked_shard_waits_and_says_why(lab: Lab) -> None:
    """Looks at it change nothing: the reason stays, and no next try is announced."""
    park(lab)
    looked_at = lab.shards()[0].version + 2
    lab.server.zadd(lab.due, {"b.0": 0})
    lab.drain(lambda _: lab.shards()[0].version >= looked_at)
    status = BatchClient(lab.context).status("b")
    assert status.status is BatchStatus.PARKED
    assert status.waiting_for is not None
    assert "reticulating" in status.waiting_for
    assert "next try" not in status.waiting_for


def cancel_to_the_end(lab: Lab) -> None:
    cancel(lab)
    lab.drain()


@pytest.mark.parametrize("meanwhile", [cancel_to_the_end, give_up])
def test_a_decision_about_a_shard_that_changed_is_refused(
    lab: Lab, meanwhile: Callable[[Lab], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what the operator saw and the decision the shard moved, or was decided about: then nothing is struck."""
    park(lab)
    get_shards = lab.context.store.get_shards

    def changed_meanwhile(batch: Batch) -> list[Shard]:
        shards = get_shards(batch)
        monkeypatch.undo()
        meanwhile(lab)
        return shards

    monkeypatch.setattr(lab.context.store, "get_shards", changed_meanwhile)
    with pytest.raises(ValidationError, match=r"b\.0 has changed just now"):
        BatchClient(lab.context).resolve("b.0", recreate=True)
    lab.drain()
    assert len(lab.service.jobs) == 1
