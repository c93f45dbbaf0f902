"""Finding a job again at services that list late, have clocks of their own, show no labels, and have many jobs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router.core import BatchStatus, UnifiedRequest
from batch_router.core.jobs import Job
from batch_router.exceptions import NotFoundError
from batch_router.providers import find_provider
from batch_router.road.absent import after_not_found
from batch_router.road.advance import advance
from batch_router.road.context import Context, Running
from batch_router.road.jobs import job_spec
from batch_router.road.lookup import Look, look
from batch_router.road.steps.create import create
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.oddities import Listing
from batch_router.simulator.scenario import Fault, Latency
from batch_router.state.base import Commit
from batch_router.state.facts import ShardFacts
from batch_router.state.items import Intent, Shard
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import facts_of, new_shard, put_shards

URLS = {"openai": "openai/v1", "anthropic": "anthropic", "google": "google"}
RUNS = Latency(in_progress=600)
Begin = Callable[..., tuple[Context, Simulator]]


@pytest.fixture
def begin(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """`begin("openai", scenario, shards=2)`: a context and the service; the shards of batch `b` have one row each."""
    running: list[Simulator] = []

    def make(provider: str, scenario: Scenario | None = None, shards: int = 1, **settings: Any) -> Any:
        simulator = Simulator(scenario)
        running.append(simulator.__enter__())
        monkeypatch.setenv(find_provider(provider).key_variables[0], "k")
        urls = {provider: f"{simulator.url}/{URLS[provider]}"}
        context = make_context(clock=time.time, base_urls=urls, **settings)
        put_shards(context.store, *(_stored(context, provider, number) for number in range(shards)))
        return context, simulator

    yield make
    for simulator in running:
        simulator.__exit__(None, None, None)


def _stored(context: Context, provider: str, number: int) -> Shard:
    label = f"{number:016x}"
    request = msgspec.convert(
        {
            "custom_id": "a",
            "model": "m",
            "messages": [{"role": "user", "content": "Hi"}],
            "generation_config": {"max_tokens": 9},
        },
        UnifiedRequest,
    )
    shard = new_shard(provider=provider, label=label, submitted_at=time.time())
    shard = msgspec.structs.replace(shard, requests=f"{shard.requests}-{number}")
    with context.storage.write(shard.requests) as stream:
        size = stream.write(msgspec.json.encode(find_provider(provider).codec.encode(request, f"{label}-0")) + b"\n")
    return msgspec.structs.replace(shard, size=size)


def get(context: Context, shard_id: str) -> Shard:
    shard = context.store.get_shard(shard_id)
    assert shard is not None
    return shard


def send(context: Context, shard: Shard) -> tuple[Job, str | None]:
    """The job of an attempt that was not heard of again, and its upload."""
    client = context.client_of(shard)
    rows = FileRows(Path(context.storage.address, shard.requests))
    upload = client.upload(rows, job_spec(shard))
    return client.create(rows, msgspec.structs.replace(job_spec(shard), upload=upload)), upload


def seen(context: Context, shard: Shard, after: float = 0) -> Look | None:
    with context.keeper.hold(shard.id, shard.version, "w", since=time.monotonic()) as lease:
        return look(Running.under(lease, context), shard, after)


def found(context: Context, shard: Shard, after: float = 0) -> str | None:
    seen_now = seen(context, shard, after)
    assert seen_now is not None
    return None if seen_now.job is None else seen_now.job.id


def own(context: Context, shard: Shard, job: Job) -> None:
    """The store says that it is the shard's job."""
    context.store.claim(shard.id, shard.version, lease=10, holder="w")
    facts = ShardFacts(job=job, account=context.client_of(shard).access.account(None))
    assert context.store.commit(shard.id, shard.version + 1, Commit(State.POLLING, None, facts), holder="w")


def lists(simulator: Simulator) -> int:
    """How often the list of jobs was asked for."""
    places = ("/openai/v1/batches", "/anthropic/v1/messages/batches", "/google/v1beta/batches")
    return len([each for each in simulator.requests() if each["method"] == "GET" and each["path"] in places])


# --- which job it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", URLS)
def test_a_job_is_found_among_others(begin: Begin, provider: str) -> None:
    """By its label; and a shard that has none finds none."""
    context, _ = begin(provider, shards=3)
    shards = [get(context, f"b.{number}") for number in range(3)]
    made = [send(context, shard)[0].id for shard in shards[:2]]
    assert [found(context, shard) for shard in shards] == [*made, None]


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_a_service_that_shows_no_labels_shows_uploads(begin: Begin, provider: str) -> None:
    """The file of the rows is the shard's alone."""
    context, _ = begin(provider, Scenario(odd=(Listing(labelled=False),)), shards=2)
    one, other = (get(context, name) for name in ("b.0", "b.1"))
    job, upload = send(context, one)
    send(context, other)
    assert found(context, msgspec.structs.replace(one, upload=upload)) == job.id
    assert found(context, one) is None


@pytest.mark.parametrize("clock", [3 * 3600, -3 * 3600, 1200, -1200])
@pytest.mark.parametrize("provider", URLS)
def test_the_providers_clock_hides_no_job(begin: Begin, provider: str, clock: float) -> None:
    """Hours from the store's: ages are counted back from the provider's own time."""
    context, _ = begin(provider, Scenario(clock=clock))
    job, _ = send(context, get(context, "b.0"))
    assert found(context, get(context, "b.0")) == job.id


# --- how much is asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", URLS)
def test_one_walk_serves_all_shards(begin: Begin, provider: str) -> None:
    """Of the account, in the whole fleet; a shard that wants a later answer walks again, and that serves all."""
    context, simulator = begin(provider, shards=20)
    shards = [get(context, f"b.{number}") for number in range(20)]
    made = [send(context, shard)[0].id for shard in shards]
    assert [found(context, shard) for shard in shards] == made
    assert lists(simulator) == 1
    after = context.store.now()
    assert [found(context, shard, after) for shard in shards] == made
    assert lists(simulator) == 2


def test_one_worker_walks(begin: Begin) -> None:
    """While it does, the others get no answer and ask for nothing; they come back."""
    context, simulator = begin("openai", shards=2)
    walker, other = (get(context, name) for name in ("b.0", "b.1"))
    context.store.claim(walker.id, 1, lease=60, holder="w")
    context.store.begin_walk(context.account_of(walker), walker.id, 2)
    assert seen(context, other) is None
    assert lists(simulator) == 0


def test_a_label_is_asked_for_once(begin: Begin) -> None:
    """At Anthropic, for each ended job of an account: not again by another shard, later, or after more jobs."""
    context, simulator = begin("anthropic", shards=120)
    shards = [get(context, f"b.{number}") for number in range(120)]
    jobs = [send(context, shard)[0] for shard in shards]
    asked = len(simulator.requests())
    assert found(context, shards[0]) == jobs[0].id
    assert len(simulator.requests()) - asked == 2 + 120
    for shard, job in zip(shards[1:50], jobs[1:50], strict=True):
        assert found(context, shard, after=context.store.now()) == job.id
    assert len(simulator.requests()) - asked == 2 + 120 + 49 * 2


def test_jobs_that_are_owned_cost_nothing(begin: Begin) -> None:
    """Of an account with many equal jobs, only the list is asked for."""
    context, simulator = begin("anthropic", shards=120)
    shards = [get(context, f"b.{number}") for number in range(120)]
    for shard in shards[1:]:
        own(context, shard, send(context, shard)[0])
    asked = len(simulator.requests())
    assert found(context, shards[0]) is None
    assert len(simulator.requests()) - asked == 2


def away(number: int) -> Job:
    """A job that the service does not have."""
    return Job(id=f"batch_{number}", status=BatchStatus.IN_PROGRESS, created_at=time.time())


def test_one_walk_serves_all_jobs_that_are_not_there(begin: Begin) -> None:
    """All of an account that answer 404 for hours are one walk, whether they are listed or not."""
    context, simulator = begin("openai", shards=40)
    listed, _ = send(context, get(context, "b.0"))
    states = []
    for number in range(40):
        shard = get(context, f"b.{number}")
        job = listed if number == 0 else away(number)
        own(context, shard, job)
        shard = msgspec.structs.replace(get(context, shard.id), absent_since=time.time() - 7 * 3600)
        error = NotFoundError("openai", 404, "No such batch")
        states.append(after_not_found(context, shard, job, error).state)
    assert states == [State.POLLING] + [State.NORMALIZING] * 39
    assert lists(simulator) == 1


def test_one_worker_walks_for_a_job_that_is_not_there(begin: Begin) -> None:
    """Another one comes back for its answer: without one, no job is given up."""
    context, simulator = begin("openai", shards=2)
    walker, shard = (get(context, name) for name in ("b.0", "b.1"))
    context.store.claim(walker.id, 1, lease=60, holder="w")
    context.store.begin_walk(f"listed:{context.account_of(walker)}", walker.id, 2)
    job = away(1)
    absent = msgspec.structs.replace(shard, job=job, absent_since=time.time() - 7 * 3600)
    outcome = after_not_found(context, absent, job, NotFoundError("openai", 404, "No such batch"))
    assert (outcome.state, outcome.delay, lists(simulator)) == (State.POLLING, 5, 0)


# --- how long nothing is concluded ----------------------------------------------------------------------------------


def carried_on(context: Context, shard_id: str, until: Callable[[Shard], bool]) -> Shard:
    """The shard as its steps leave it, at the times that they ask for."""
    while not until(shard := get(context, shard_id)):
        for hint in context.store.take_due(10, grace=0.01):
            if hint.id == shard_id:
                advance(context, hint.id, hint.version)
        time.sleep(0.02)
    return shard


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_a_list_that_lags_costs_no_second_job(begin: Begin, provider: str) -> None:
    """A gateway answers 502 after the fact, and the list does not show the job for a while: it is waited for."""
    create_path = {"openai": "POST /batches", "google": "POST /v1beta/models/.*:batchGenerateContent"}[provider]
    fault = Fault(match=create_path, do="status_after", status=502)
    context, simulator = begin(
        provider,
        Scenario(latency=RUNS, faults=(fault,), odd=(Listing(lag=4),)),
        lease=4,
        renew_every=1,
        grace=0.01,
    )
    waits = carried_on(context, "b.0", lambda shard: shard.error is not None and "again in" in shard.error.message)
    assert waits.error is not None
    assert "502" in waits.error.message
    assert "another one is created after" in waits.error.message
    shard = carried_on(context, "b.0", lambda shard: shard.job is not None)
    assert (shard.state, len({each.job for each in simulator.bill()})) == (State.POLLING, 0)
    assert len([each for each in simulator.requests() if each.get("job")]) == 1


def test_nothing_is_concluded_before_a_job_must_be_listed(begin: Begin) -> None:
    """Only a look that began later than the last request could arrive, and the bound after that, proves something."""
    context, simulator = begin("openai", visibility=600)
    now = time.time()
    shard = msgspec.structs.replace(get(context, "b.0"), state=State.CREATING, upload="file-1")

    def resolved(late_until: float, closed_at: float | None = None, trouble: str = "") -> tuple[State, Any]:
        intent = Intent(at=now - 3600, late_until=late_until, closed_at=closed_at, trouble=trouble)
        with context.keeper.hold(shard.id, shard.version, "w", since=0) as lease:
            outcome = create(Running.under(lease, context), msgspec.structs.replace(shard, intent=intent))
        return outcome.state, facts_of(outcome)["intent"]

    state, intent = resolved(now - 590)
    assert (state, intent.closed_at) == (State.CREATING, None)
    assert not [each for each in simulator.requests() if each["method"] == "DELETE"]
    state, intent = resolved(now - 610)
    assert (state, intent.closed_at is not None) == (State.CREATING, True)
    assert len([each for each in simulator.requests() if each["method"] == "DELETE"]) == 1
    assert resolved(now - 610, intent.closed_at)[0] is State.CREATING, "its maker may have sent it just before that"
    assert resolved(now - 1210, now - 590)[0] is State.CREATING
    assert resolved(now - 1210, now - 610) == (State.UPLOADING, None)
    assert resolved(now - 610, intent.closed_at, "502") == (State.UPLOADING, None), "its maker said how it ended"


def test_in_doubt_an_old_intent_proves_nothing(begin: Begin) -> None:
    """The server may have forgotten that the attempt had ended, and another one: a job may not be listed yet."""
    context, _ = begin("openai", visibility=600)
    now = time.time()
    old = Intent(at=now - 7200, late_until=now - 7000, closed_at=now - 6000)
    shard = msgspec.structs.replace(get(context, "b.0"), state=State.CREATING, upload="file-1", intent=old)
    context.store.claim(shard.id, shard.version, lease=60, holder="w")
    with context.keeper.hold(shard.id, shard.version + 1, "w", since=time.monotonic()) as lease:
        running = Running.under(lease, context)
        outcomes = [create(running, msgspec.structs.replace(shard, doubt_since=now - age)) for age in (60, 3600)]
    assert [outcome.state for outcome in outcomes] == [State.CREATING, State.CREATING]
    first, second = (facts_of(outcome)["intent"] for outcome in outcomes)
    assert (first.late_until > now, first.closed_at) == (True, None)
    assert second.closed_at > now, "its rows are deleted again: those of the attempt that was forgotten"
    assert create_without_doubt(context, shard).state is State.UPLOADING


def create_without_doubt(context: Context, shard: Shard) -> Any:
    with context.keeper.hold(shard.id, shard.version, "w", since=0) as lease:
        return create(Running.under(lease, context), shard)


@pytest.mark.parametrize("provider", ["openai", "google"])
def test_in_doubt_all_uploads_are_deleted(begin: Begin, provider: str) -> None:
    """A server that forgot the last minute forgot uploads, too: none is left of which a job may be made."""
    context, simulator = begin(provider, visibility=0)
    shard = get(context, "b.0")
    client, rows = context.client_of(shard), FileRows(Path(context.storage.address, shard.requests))
    names = {client.upload(rows, job_spec(shard)) for _ in range(2)}
    since = time.time() - 3600
    doubtful = msgspec.structs.replace(shard, state=State.CREATING, doubt_since=since, last_doubt=since)
    context.store.claim(shard.id, shard.version, lease=60, holder="w")
    with context.keeper.hold(shard.id, shard.version + 1, "w", since=time.monotonic()) as lease:
        outcome = create(Running.under(lease, context), doubtful)
    assert (outcome.state, facts_of(outcome)["intent"].closed_at is not None) == (State.CREATING, True)
    assert {each["deleted"] for each in simulator.requests() if each.get("deleted")} == names
