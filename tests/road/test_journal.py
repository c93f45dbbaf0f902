"""Jobs that were made while the store was away, or too late: each is settled, and none is paid for beside another."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router import BatchRouter
from batch_router.connect import open_context
from batch_router.core.jobs import Job
from batch_router.embedded import EmbeddedServer
from batch_router.exceptions import StoreUnavailableError
from batch_router.operations.purge import purge
from batch_router.operations.submit import submit
from batch_router.providers import OpenAIProvider
from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.road.jobs import job_spec, stored_rows
from batch_router.road.journal import note_job, settle
from batch_router.security.paths import batch_folder
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Latency
from batch_router.state.base import Commit
from batch_router.state.items import Shard
from batch_router.state.table import State
from tests.items import new_shard, put_shards

ROWS = [{"custom_id": str(number), "prompt": f"Row {number}"} for number in range(3)]
ENDLESS = Latency(in_progress=600)
# The request that creates a job is answered after this many seconds; that is time enough to stop a server.
SLOW = Fault(match="POST /batches$", do="delay", seconds=5)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its jobs take longer than any test."""
    with Simulator(Scenario(latency=ENDLESS)) as running:
        yield running


@pytest.fixture
def make(
    make_context: Callable[..., Context], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Context]:
    """OpenAI is the simulator."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    return lambda **options: make_context(base_urls={"openai": f"{simulator.url}/openai/v1"}, **options)


def notes(context: Context) -> list[str]:
    return [stored.name for stored in context.storage.list("journal")]


def created(simulator: Simulator) -> int:
    return len(
        [each for each in simulator.requests() if each["method"] == "POST" and each["path"].endswith("/batches")]
    )


def cancelled(simulator: Simulator) -> int:
    return len([each for each in simulator.requests() if each["path"].endswith("/cancel")])


# --- a store that is away ---------------------------------------------------------------------------------------------


def carry(context: Context, state: State) -> Shard:
    """The only batch, until its shard is in that state; the claim of one that was lost is waited for."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        shard = context.store.get_shard("b.0")
        if shard is not None and shard.state is state:
            return shard
        for hint in context.store.take_due(9, grace=0.2):
            advance(context, hint.id, hint.version)
        time.sleep(0.05)
    raise AssertionError(f"the shard never was {state}")


def create_while_the_store_goes(context: Context, server: EmbeddedServer, simulator: Simulator) -> None:
    """The job is created, and the server is stopped before it can hear so; then it is there again, with its data."""
    shard = carry(context, State.CREATING)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            advance(context, shard.id, shard.version)
        except StoreUnavailableError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while not ((seen := context.store.get_shard(shard.id)) and seen.intent):  # written before the request is sent
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.stop()
    thread.join()
    assert len(raised) == 1
    server.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of this test's own: it is made to go away."""
    with EmbeddedServer(tmp_path / "server") as embedded:
        yield embedded


@pytest.fixture
def real(
    tmp_path: Path, server: EmbeddedServer, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Context]:
    """A context over a real server, with the batch `b`, whose job is about to be created."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    simulator.change(Scenario(latency=ENDLESS, faults=(SLOW,)))
    urls = {"openai": f"{simulator.url}/openai/v1"}
    settings = Settings(home=tmp_path / "home", redis_url=server.start(), base_urls=urls, lease=4, renew_every=1)
    opened = open_context(settings)
    submit(opened, "openai", {"requests": ROWS, "model": "m", "batch_id": "b"})
    yield opened
    opened.close()


def test_a_job_whose_shard_is_still_to_look_for_it_is_left_to_it(
    real: Context, server: EmbeddedServer, simulator: Simulator
) -> None:
    """It is noted; the shard finds it by its label, and then the note is forgotten. There is one job, and it runs."""
    create_while_the_store_goes(real, server, simulator)
    assert len(notes(real)) == 1
    settle(real)
    assert len(notes(real)) == 1
    shard = carry(real, State.POLLING)
    settle(real)
    assert notes(real) == []
    assert shard.job is not None
    assert (created(simulator), cancelled(simulator)) == (1, 0)


def test_a_job_whose_shard_goes_without_it_is_cancelled(
    real: Context, server: EmbeddedServer, simulator: Simulator
) -> None:
    """Another worker took the shard on meanwhile, and it has no use for this job any more."""
    create_while_the_store_goes(real, server, simulator)
    shard = real.store.get_shard("b.0")
    assert shard is not None
    assert shard.state is State.CREATING
    time.sleep(real.settings.lease)
    real.store.take_due(9, grace=30)
    claimed = real.store.claim(shard.id, shard.version, lease=30, holder="other")
    assert claimed is not None
    commit = Commit(State.NORMALIZING, None, {"intent": None})
    assert real.store.commit(shard.id, claimed.version, commit, holder="other")
    settle(real)
    assert notes(real) == []
    assert (created(simulator), cancelled(simulator)) == (1, 1)


# --- what becomes of a note -------------------------------------------------------------------------------------------


def noted(context: Context) -> tuple[Shard, Job]:
    """A shard that is in `creating`, and a job that was made for it."""
    with context.storage.write(new_shard().requests) as stream:
        stream.write(b"{}\n")
    client = context.clients.get("openai")
    put_shards(context.store, new_shard(state=State.CREATING))
    shard = context.store.get_shard("b.0")
    assert shard is not None
    rows = stored_rows(context, shard)
    uploaded = msgspec.structs.replace(shard, upload=client.upload(rows, job_spec(shard)))
    job = client.create(rows, job_spec(uploaded))
    note_job(context, shard, job)
    return shard, job


def commit(context: Context, state: State, **facts: Any) -> None:
    shard = context.store.get_shard("b.0")
    assert shard is not None
    context.store.claim("b.0", shard.version, lease=10, holder="w")
    made = Commit(state, None if state.is_final else 0, facts)  # type: ignore[arg-type]
    assert context.store.commit("b.0", shard.version + 1, made, holder="w")


def test_a_shard_that_owns_the_job_keeps_it(make: Callable[..., Context], simulator: Simulator) -> None:
    """The reply to the commit was lost, or a look-up found it."""
    context = make()
    _, job = noted(context)
    commit(context, State.POLLING, job=job, account=context.clients.get("openai").access.account(None))
    settle(context)
    assert (notes(context), cancelled(simulator)) == ([], 0)


@pytest.mark.parametrize("state", [State.POLLING, State.UPLOADING, State.NORMALIZING, State.FAILED])
def test_a_shard_that_goes_on_without_it_has_it_cancelled(
    make: Callable[..., Context], simulator: Simulator, state: State
) -> None:
    """It owns another one, starts another round, or has ended."""
    context = make()
    _, job = noted(context)
    facts: dict[str, Any] = {"round": 1}
    if state is State.POLLING:
        facts["job"] = Job(id="another", status=job.status, created_at=0)
    commit(context, state, **facts)
    settle(context)
    assert (notes(context), cancelled(simulator)) == ([], 1)


@pytest.mark.parametrize("state", [State.CREATING, State.PARKED, State.UPLOADING])
def test_a_shard_that_may_take_it_is_left_alone(
    make: Callable[..., Context], simulator: Simulator, state: State
) -> None:
    """A look-up or an operator finds it, also where the store forgot some writes; so the note stays."""
    context = make()
    noted(context)
    commit(context, state)
    settle(context)
    assert (len(notes(context)), cancelled(simulator)) == (1, 0)


def test_a_store_that_forgot_the_shard_may_be_rebuilt(make: Callable[..., Context], simulator: Simulator) -> None:
    """While its rows are there, so is the job; a batch that was purged has neither."""
    context = make()
    noted(context)
    lost = make()  # over the same storage
    settle(lost)
    assert (len(notes(lost)), cancelled(simulator)) == (1, 0)
    commit(context, State.FAILED)
    batch = context.store.get_batch("b")
    assert batch is not None
    context.store.claim("b", batch.version, lease=10, holder="w")
    context.store.commit("b", batch.version + 1, Commit(State.FAILED, None, {}), holder="w")
    ended = context.store.get_batch("b")
    assert ended is not None
    purge(context, ended)
    settle(context)
    assert (notes(context), cancelled(simulator)) == ([], 1)


def test_another_accounts_key_cancels_nothing(
    make: Callable[..., Context], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note waits until the key that made the job is back."""
    context = make()
    noted(context)
    commit(context, State.FAILED)
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    settle(make_same(make, context))
    assert len(notes(context)) == 1
    assert cancelled(simulator) == 0
    settle(context)
    assert (notes(context), cancelled(simulator)) == ([], 1)


def make_same(make: Callable[..., Context], context: Context) -> Context:
    return dataclasses.replace(make(), store=context.store)


def test_a_note_that_cannot_be_read_is_in_the_way_of_none(make: Callable[..., Context], simulator: Simulator) -> None:
    """It stays, and the others are settled."""
    context = make()
    noted(context)
    commit(context, State.FAILED)
    for content in (b"", b"{}", b'{"shard": {"id": "1"}}', b'{"shard": {"id": "\\"../x\\""}}'):
        with context.storage.write(f"journal/odd-{len(content)}.json") as stream:
            stream.write(content)
    settle(context)
    assert len(notes(context)) == 4
    assert cancelled(simulator) == 1


def test_a_router_settles_what_an_earlier_one_noted(make: Callable[..., Context], simulator: Simulator) -> None:
    """Its own thread looks at the journal, as that of a worker does."""
    context = make()
    noted(context)
    for stored in list(context.storage.list(batch_folder("openai", "b"))):
        context.storage.delete(stored.name)

    async def main() -> None:
        settings = Settings(home=context.settings.home, lease=4, renew_every=1)
        async with BatchRouter(settings, in_memory=True) as router:
            router.register_provider(OpenAIProvider(api_key="k", base_url=f"{simulator.url}/openai/v1"))
            await router.list_batches("openai")  # it starts with the first call
            deadline = time.monotonic() + 30
            while notes(context) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)

    asyncio.run(main())
    assert (notes(context), cancelled(simulator)) == ([], 1)
