"""What is kept of a batch that has ended: all, then what answers for its id and key, and payloads as long as wanted."""

import dataclasses

import msgspec
import pytest

from batch_router.client import BatchClient
from batch_router.exceptions import ValidationError
from batch_router.state.table import State
from tests.operations.lab import ROWS, Lab


def test_an_old_batch_lets_go_of_its_shards(lab: Lab) -> None:
    """Its status, results and key work as before, a shard's hash is gone, and nothing of it is due any more."""
    client = BatchClient(lab.context)
    batch_id = client.submit("openai", model="m", requests=ROWS, idempotency_key="k")
    lab.drain(batch_id=batch_id)
    before, results = client.status(batch_id), list(client.results(batch_id))
    lab.age(lab.context.settings.keep_shards, batch_id)
    lab.drain(lambda batch: batch.retired, batch_id)
    assert not lab.server.exists(lab.key(f"{batch_id}.0"))
    assert lab.server.zcard(lab.due) == 0
    after = client.status(batch_id)
    assert after == msgspec.structs.replace(before, shards=(), completed_at=after.completed_at)
    assert list(client.results(batch_id)) == results
    assert client.submit("openai", model="m", requests=ROWS, idempotency_key="k") == batch_id
    assert len(lab.service.jobs) == 3


def test_payloads_are_kept_as_long_as_wanted(lab: Lab) -> None:
    """Then they are deleted, and what is asked of them is answered in a sentence; the status stays."""
    lab.context = dataclasses.replace(
        lab.context, settings=msgspec.structs.replace(lab.context.settings, keep_payloads=60.0)
    )
    lab.submit()
    lab.drain()
    lab.age(60)
    lab.drain(lambda batch: batch.erased)
    client = BatchClient(lab.context)
    assert list(lab.context.storage.list("generated")) == []
    assert client.status("b").request_counts.succeeded == 6
    for ask in (client.results, client.retry, client.verify, client.resume):
        with pytest.raises(ValidationError, match="deleted a while after its end, as BATCH_ROUTER_KEEP_PAYLOADS says"):
            ask("b")


def test_a_purge_that_its_caller_left_is_ended_by_a_worker(lab: Lab) -> None:
    """It was marked, and nothing more: ten minutes later a worker deletes the batch."""
    lab.submit()
    lab.drain()

    def fail(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab.context.storage, "list", fail)
        with pytest.raises(KeyboardInterrupt):
            BatchClient(lab.context).purge("b")
    assert lab.batch().purging
    lab.server.zadd(lab.due, {"b": 0})
    lab.drain_nothing_left()
    assert lab.context.store.get_batch("b") is None
    assert list(lab.context.storage.list("generated")) == []


def test_a_batch_that_is_kept_is_not_looked_at_often(lab: Lab) -> None:
    """It is due once, when its shards are old enough."""
    lab.submit()
    lab.drain()
    due_at = lab.server.zscore(lab.due, "b")
    assert due_at is not None
    kept = float(due_at) / 1000 - lab.context.store.now()
    assert lab.context.settings.keep_shards - 60 < kept <= lab.context.settings.keep_shards + 60
    assert lab.batch().state is State.COMPLETED
