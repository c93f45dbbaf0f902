"""A worker that created a job and then finds that it lost the shard: when it cancels that job, and when not."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batch_router.core.jobs import Job
from batch_router.road.context import Context, Running
from batch_router.road.jobs import job_spec
from batch_router.road.steps import find_step
from batch_router.security.paths import batch_folder
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.state.base import Commit
from batch_router.state.items import ShardFacts
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import LABEL, new_shard, put_shards

PARAMS = '{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}'
SHARD = new_shard(id="b.0", provider="anthropic")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its jobs take longer than any test."""
    with Simulator(Scenario(latency=Latency(in_progress=600))) as running:
        yield running


@pytest.fixture
def context(make_context: Callable[..., Context], simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Anthropic is the simulator, and the rows of a shard lie in the storage."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    made = make_context(clock=time.time, base_urls={"anthropic": f"{simulator.url}/anthropic"}, sweep_every=0.1)
    with made.storage.write(SHARD.requests) as rows:
        rows.write(f'{{"custom_id": "{LABEL}-0", "params": {PARAMS}}}\n'.encode())
    return made


@pytest.fixture
def job(context: Context) -> Job:
    """The job that the late creator made."""
    rows = FileRows(Path(context.storage.address, SHARD.requests))
    return context.clients.get("anthropic").create(rows, job_spec(SHARD))


def undo(context: Context, job: Job) -> None:
    """What the late creator does about it."""
    step = find_step("create")
    assert step.undo is not None
    with context.keeper.hold(SHARD.id, 2, "late", since=0) as lease:
        step.undo(Running.under(lease, context), SHARD, {"job": job})


def becomes(context: Context, state: State, facts: ShardFacts) -> None:
    """Another worker takes the shard a step on."""
    shard = context.store.get_shard(SHARD.id)
    if shard is None:
        (shard,) = put_shards(context.store, SHARD)
    claimed = context.store.claim(shard.id, shard.version, lease=10, holder="w")
    assert claimed is not None
    assert context.store.commit(shard.id, claimed.version, Commit(state, 0, facts), holder="w")


def is_cancelled(simulator: Simulator) -> bool:
    return any(request["path"].endswith("/cancel") for request in simulator.requests())


def test_a_late_creator_cancels_its_job_where_the_shard_has_another(
    context: Context, simulator: Simulator, job: Job
) -> None:
    """No worker looks for it any more."""
    becomes(context, State.POLLING, {"job": Job(id="another", status=job.status, created_at=0)})
    undo(context, job)
    assert is_cancelled(simulator)


def test_a_late_creator_cancels_its_job_where_the_batch_was_purged(
    context: Context, simulator: Simulator, job: Job
) -> None:
    """Neither the store nor the storage knows the batch."""
    context.storage.delete_all(batch_folder(SHARD.provider, SHARD.batch))
    undo(context, job)
    assert is_cancelled(simulator)


@pytest.mark.parametrize("state", [State.CREATING, State.UPLOADING, None])
def test_a_late_creator_leaves_a_job_that_another_worker_will_find(
    context: Context, simulator: Simulator, job: Job, state: State | None
) -> None:
    """The shard has no job yet, or the store forgot the shard, and `convert` makes it again with the same label."""
    if state is not None:
        becomes(context, state, {})
    with ThreadPoolExecutor() as late:
        undone = late.submit(undo, context, job)
        with pytest.raises(TimeoutError):
            undone.result(timeout=0.5)
        becomes(context, State.POLLING, {"job": job})
        undone.result()
    assert not is_cancelled(simulator)
