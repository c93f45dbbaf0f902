"""An operator decides about a parked shard; a slip of the hand takes no other shard's job."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from batch_router.core.jobs import Job
from batch_router.exceptions import ValidationError
from batch_router.intake.rows import request_from
from batch_router.operations.resolve import resolve
from batch_router.providers import find_provider
from batch_router.road.context import Context
from batch_router.road.jobs import job_spec
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Latency
from batch_router.state.base import Commit
from batch_router.state.facts import ShardFacts
from batch_router.state.items import Intent, Shard
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import new_shard, put_shards

PROVIDERS = {"openai": ("OPENAI_API_KEY", "openai/v1"), "google": ("GOOGLE_API_KEY", "google")}
PROVIDERS["anthropic"] = ("ANTHROPIC_API_KEY", "anthropic")
Begin = Callable[..., Context]


@pytest.fixture
def begin(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """`begin("openai")`: a context with two parked shards, whose request to create a job was sent a minute ago."""
    running: list[Simulator] = []

    def make(provider: str, latency: Latency | None = None) -> Context:
        simulator = Simulator(Scenario(latency=latency or Latency()))
        running.append(simulator.__enter__())
        variable, path = PROVIDERS[provider]
        monkeypatch.setenv(variable, "sk-test")
        context = make_context(clock=time.time, base_urls={provider: f"{simulator.url}/{path}"})
        shards = [new_shard(provider=provider, label=f"{number:016x}") for number in range(2)]
        for shard in put_shards(context.store, *shards):
            account = context.client_of(shard).access.account(None)
            intent = Intent(at=time.time() - 60, late_until=time.time())
            commit(context, shard, ShardFacts(intent=intent, account=account), State.PARKED)
        return context

    yield make
    for simulator in running:
        simulator.__exit__(None, None, None)


def commit(context: Context, shard: Shard, facts: ShardFacts, state: State) -> None:
    context.store.claim(shard.id, shard.version, lease=10, holder="w")
    assert context.store.commit(shard.id, shard.version + 1, Commit(state, 0, facts), holder="w")


def get(context: Context, shard_id: str) -> Shard:
    shard = context.store.get_shard(shard_id)
    assert shard is not None
    return shard


def create(context: Context, shard: Shard, tmp_path: Path) -> Job:
    """A job with the shard's row and label, of which the store knows nothing."""
    row = {"custom_id": "q", "model": "m", "prompt": "Hi", "generation_config": {"max_tokens": 9}}
    line = find_provider(shard.provider).codec.encode(request_from(row), f"{shard.label}-0")
    path = tmp_path / "rows"
    path.write_bytes(msgspec.json.encode(line) + b"\n")
    client = context.client_of(shard)
    spec = job_spec(shard)
    upload = client.upload(FileRows(path), spec)
    return client.create(FileRows(path), msgspec.structs.replace(spec, upload=upload))


def until_it_ends(context: Context, shard: Shard, job: Job) -> None:
    while not context.client_of(shard).get(job.id).status.is_final:
        time.sleep(0.02)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_its_own_job_is_attached(provider: str, begin: Begin, tmp_path: Path) -> None:
    """A job with another shard's rows is refused, with both labels; the shard's own job is taken."""
    context = begin(provider)
    ours, theirs = (create(context, get(context, shard_id), tmp_path) for shard_id in ("b.0", "b.1"))
    for job in (ours, theirs):
        until_it_ends(context, get(context, "b.0"), job)
    with pytest.raises(ValidationError, match=rf"{theirs.id} has other rows than b\.0: .* the shard's is {0:016x}"):
        resolve(context, "b.0", attach=theirs.id)
    assert get(context, "b.0").state is State.PARKED
    resolve(context, "b.0", attach=ours.id)
    attached = get(context, "b.0")
    assert (attached.state, attached.job and attached.job.id) == (State.POLLING, ours.id)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_job_of_another_shard_is_not_attached(provider: str, begin: Begin, tmp_path: Path) -> None:
    """A job that the store knows as another shard's is refused, whatever its label says."""
    context = begin(provider)
    shard = get(context, "b.0")
    job = create(context, shard, tmp_path)
    until_it_ends(context, shard, job)
    commit(context, get(context, "b.1"), ShardFacts(job=job), State.POLLING)
    with pytest.raises(ValidationError, match=rf"{job.id} is the job of another shard; b\.0 cannot have it"):
        resolve(context, "b.0", attach=job.id)


def test_a_job_whose_rows_are_not_shown_yet_is_not_attached(begin: Begin, tmp_path: Path) -> None:
    """Anthropic shows no label: a job that still runs is refused, and the error says when it can be attached."""
    context = begin("anthropic", Latency(in_progress=600))
    job = create(context, get(context, "b.0"), tmp_path)
    with pytest.raises(ValidationError, match="still runs, and anthropic shows only at the end whose rows a job has"):
        resolve(context, "b.0", attach=job.id)


def test_a_shard_that_is_parked_with_its_job_keeps_it(begin: Begin, tmp_path: Path) -> None:
    """Its answers were too large, or its status is a word of no known meaning: it goes on with the same job."""
    context = begin("openai")
    shard = get(context, "b.0")
    job = create(context, shard, tmp_path)
    parked = Commit(State.PARKED, None, ShardFacts(job=job, intent=None))
    assert context.store.decide(shard, parked, holder=context.worker)
    resolve(context, "b.0", attach=job.id)
    resolved = get(context, "b.0")
    assert (resolved.state, resolved.job and resolved.job.id) == (State.POLLING, job.id)
