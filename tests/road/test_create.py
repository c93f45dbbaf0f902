"""What came of an attempt to create a job, at a provider that shows no label and, until the job ends, no row."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from batch_router.core.jobs import Job
from batch_router.road.context import Context, Running
from batch_router.road.jobs import job_spec
from batch_router.road.outcome import Outcome
from batch_router.road.steps.create import MOST_ROUNDS, create
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.state.base import Commit
from batch_router.state.items import Intent, Shard
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import facts_of, new_shard, put_shards

PARAMS = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its jobs take longer than any test."""
    with Simulator(Scenario(latency=Latency(in_progress=600))) as running:
        yield running


@pytest.fixture
def context(make_context: Callable[..., Context], simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Anthropic is the simulator; the batch `b` has two shards of one row, the batch `c` has one."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    made = make_context(clock=time.time, visibility=0, base_urls={"anthropic": f"{simulator.url}/anthropic"})
    for batch, labels in (("b", (f"{0:016x}", f"{1:016x}")), ("c", (f"{2:016x}",))):
        shards = []
        for label in labels:
            rows = f"generated/anthropic/{batch}/{label}"
            with made.storage.write(rows) as stream:
                stream.write(msgspec.json.encode({"custom_id": f"{label}-0", "params": PARAMS}) + b"\n")
            shards.append(new_shard(batch, provider="anthropic", label=label, requests=rows))
        put_shards(made.store, *shards)
    return made


def attempted(context: Context, shard_id: str, late: float) -> Shard:
    """A shard with an attempt to create its job; `late` seconds from now that request can no longer arrive."""
    shard = context.store.get_shard(shard_id)
    assert shard is not None
    now = time.time()
    return msgspec.structs.replace(shard, state=State.CREATING, intent=Intent(at=now, late_until=now + late))


def send(context: Context, shard_id: str) -> Job:
    """What an attempt does before it is not heard of again."""
    shard = attempted(context, shard_id, 0)
    rows = FileRows(Path(context.storage.address, shard.requests))
    return context.clients.get(shard.provider).create(rows, job_spec(shard))


def resolved(context: Context, shard: Shard) -> Outcome:
    """What the step says of an earlier attempt; it renews no lease for that."""
    with context.keeper.hold(shard.id, shard.version, "w", since=0) as lease:
        return create(Running.under(lease, context), shard)


def own(context: Context, shard_id: str, job: Job) -> None:
    """The store says that it is the shard's job."""
    context.store.claim(shard_id, 1, lease=10, holder="w")
    account = context.clients.get("anthropic").access.account(None)
    assert context.store.commit(shard_id, 2, Commit(State.POLLING, None, {"job": job, "account": account}), holder="w")


def test_a_job_that_may_be_ours_is_waited_for(context: Context, simulator: Simulator) -> None:
    """However long ago the attempt was: with a job running that may be its, nothing is created and nothing given up."""
    send(context, "b.1")
    for late in (60, -60):
        waits = resolved(context, attempted(context, "b.1", late))
        assert (waits.state, "it is known when they end" in facts_of(waits)["error"].message) == (State.CREATING, True)
    assert len([each for each in simulator.requests() if each["method"] == "POST"]) == 1


@pytest.mark.parametrize("other", ["b.0", "c.0"])
def test_the_job_of_another_shard_is_not_ours(context: Context, other: str) -> None:
    """Of any batch, it holds nothing up: when the request can no longer arrive, the shard starts another round."""
    own(context, other, send(context, other))
    waits = resolved(context, attempted(context, "b.1", 60))
    assert (waits.state, "another one is created after" in facts_of(waits)["error"].message) == (State.CREATING, True)
    again = resolved(context, attempted(context, "b.1", -60))
    assert (again.state, facts_of(again)["intent"]) == (State.UPLOADING, None)


def test_rounds_come_to_an_end(context: Context) -> None:
    """A shard whose every request to create its job comes to nothing fails; it is not uploaded for ever."""
    shard = msgspec.structs.replace(attempted(context, "b.1", -60), round=MOST_ROUNDS - 1)
    ended = resolved(context, shard)
    assert (ended.state, facts_of(ended)["intent"]) == (State.NORMALIZING, None)
    assert "150 requests" in facts_of(ended)["failure"].message
    assert resolved(context, msgspec.structs.replace(shard, round=MOST_ROUNDS - 2)).state is State.UPLOADING


def test_an_ended_job_is_taken_up(context: Context) -> None:
    """Its rows say that it is the shard's, among others with as many rows."""
    own(context, "b.0", send(context, "b.0"))
    job = send(context, "b.1")
    context.clients.get("anthropic").cancel(job.id)
    found = resolved(context, attempted(context, "b.1", 60))
    assert (found.state, facts_of(found)["job"].id) == (State.POLLING, job.id)


def test_a_job_that_never_tells_is_the_operators(context: Context) -> None:
    """Two days after the attempt no job of the service runs any more: one that still may be ours parks the shard."""
    job = send(context, "b.1")
    shard = attempted(context, "b.1", -60)
    assert shard.intent is not None
    old = msgspec.structs.replace(shard.intent, at=time.time() - 2 * 86_400 - 1)
    parked = resolved(context, msgspec.structs.replace(shard, intent=old))
    message = facts_of(parked)["error"].message
    assert (parked.state, job.id in message, "resolve b.1 --attach JOB" in message) == (State.PARKED, True, True)
