"""The router: the road in one process, over a real store and simulated providers; no Celery."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from batch_router import (
    BatchClient,
    BatchFailedError,
    BatchNotFinishedError,
    BatchNotFoundError,
    BatchRouter,
    BatchStatus,
    BatchTimeoutError,
    ProviderAPIError,
    ProviderNotFoundError,
    UnifiedMessage,
    UnifiedRequest,
    ValidationError,
)
from batch_router.connect import open_context
from batch_router.exceptions import CredentialsError
from batch_router.providers import OpenAIProvider, VLLMProvider
from batch_router.providers.vllm import VLLMSettings
from batch_router.road import policy
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Latency, Refusal
from tests.providers.vllm_runs import engines_of

T = TypeVar("T")
KEY = "sk-canary-router-1"
SLOW = Scenario(latency=Latency(in_progress=60), keys=(KEY,))


def requests(count: int) -> list[UnifiedRequest]:
    return [
        UnifiedRequest(
            custom_id=f"q{number}", model="gpt-4o", messages=[UnifiedMessage.from_text("user", f"Question {number}")]
        )
        for number in range(count)
    ]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


class World:
    """A simulated provider, and routers that talk to it."""

    def __init__(self, home: Path, scenario: Scenario) -> None:
        self.simulator = Simulator(scenario)
        self.home = home
        self.open: list[BatchRouter | BatchClient] = []

    def router(self, *, key: str = KEY, **arguments: Any) -> BatchRouter:
        url = f"{self.simulator.url}/openai/v1"
        router = BatchRouter(Settings(home=self.home, max_shard_rows=4, lease=3, renew_every=1), **arguments)
        router.register_provider(OpenAIProvider(api_key=key, base_url=url))
        self.open.append(router)
        return router

    def client(self, router: BatchRouter) -> BatchClient:
        """An operator at the same store, with the router's keys."""
        providers = {name: router.get_provider(name) for name in router.list_providers()}
        client = BatchClient(open_context(Settings(home=self.home), providers=providers))
        self.open.append(client)
        return client

    def jobs(self) -> list[str]:
        return [note["job"] for note in self.simulator.requests() if "job" in note]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Any]:
    """Makes a world of a scenario; it ends with the test."""
    worlds = []

    def make(scenario: Scenario | None = None) -> World:
        world = World(tmp_path / "home", scenario or Scenario(keys=(KEY,)))
        world.simulator.__enter__()
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        for each in reversed(world.open):
            each.close()
        world.simulator.__exit__()


async def answers(router: BatchRouter, batch_id: str) -> list[tuple[str, str | None]]:
    return [(result.custom_id, result.get_content()) async for result in router.get_results("openai", batch_id)]


def test_endpoints_have_jobs_of_their_own(begin: Any) -> None:
    """A chat, a response and an embedding in one batch: three jobs, and the results in the order of the requests."""
    world = begin()
    rows = [
        {"custom_id": "a", "prompt": "Hello"},
        {"custom_id": "b", "prompt": "World", "endpoint": "embeddings", "provider_kwargs": {"dimensions": 3}},
        {"custom_id": "c", "prompt": "Again", "endpoint": "responses"},
    ]

    async def main() -> list[Any]:
        async with world.router() as router:
            batch_id = await router.send_batch("openai", rows, model="gpt-5-mini")
            await router.wait_for_completion("openai", batch_id)
            return [result async for result in router.get_results("openai", batch_id)]

    first, second, third = run(main())
    assert (first.text, third.text, second.text) == ("Hello", "Again", None)
    assert len(second.embedding) == 3
    assert len(world.jobs()) == 3


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_batch_goes_there_and_back(begin: Any, in_memory: bool) -> None:
    """Ten requests in three shards: every answer once, in the order of the requests, one job per shard."""
    world = begin()

    async def main() -> list[tuple[str, str | None]]:
        async with world.router(in_memory=in_memory) as router:
            batch_id = await router.send_batch("openai", requests(10), metadata={"who": "ada"})
            status = await router.wait_for_completion("openai", batch_id)
            assert (status.status, status.request_counts.succeeded) == (BatchStatus.COMPLETED, 10)
            assert [each.batch_id for each in await router.list_batches()] == [batch_id]
            assert status.metadata == {"who": "ada"}
            return await answers(router, batch_id)

    assert run(main()) == [(f"q{number}", f"Question {number}") for number in range(10)]
    assert len(world.jobs()) == 3


async def send(router: BatchRouter, rows: list[Any], **options: Any) -> tuple[Any, list[Any]]:
    """The status in which a batch ended, and its results."""
    batch_id = await router.send_batch("openai", rows, **options)
    status = await router.wait_for_completion("openai", batch_id, timeout=60)
    return status, [result async for result in router.get_results("openai", batch_id)]


def test_rows_that_failed_for_a_passing_reason_go_again(begin: Any) -> None:
    """A third of all rows meets a 503 each time: sent again in follow-up shards, all are answered once, in order."""
    world = begin(Scenario(refuse=(Refusal(status=503, share=0.3),), keys=(KEY,)))

    async def main() -> tuple[Any, list[Any]]:
        async with world.router() as router:
            return await send(router, requests(40), row_retries=10)

    status, results = run(main())
    assert status.status is BatchStatus.COMPLETED
    assert (status.request_counts.total, status.request_counts.succeeded) == (40, 40)
    assert [(result.custom_id, result.text) for result in results] == [(f"q{n}", f"Question {n}") for n in range(40)]
    assert len(world.jobs()) > 10  # of four rows each, and some more


@pytest.mark.parametrize(("status_code", "retries", "jobs"), [(503, 0, 1), (503, 2, 3), (400, 2, 1)])
def test_row_retries_have_an_end(begin: Any, status_code: int, retries: int, jobs: int) -> None:
    """Up to the batch's limit and no further; a row that was refused for good does not go again."""
    world = begin(Scenario(refuse=(Refusal(status=status_code, match="1"),), keys=(KEY,)))

    async def main() -> tuple[Any, list[Any]]:
        async with world.router() as router:
            return await send(router, requests(3), row_retries=retries)

    status, results = run(main())
    assert status.status is BatchStatus.COMPLETED
    assert [result.status for result in results] == ["succeeded", "errored", "succeeded"]
    assert len(world.jobs()) == jobs


def test_an_expired_job_keeps_what_was_done_and_the_rest_goes_again(begin: Any) -> None:
    """Each job ends half-done: of four rows two go again, and one of those is expired when the retries are over."""
    world = begin(Scenario(expire_after=0.5, keys=(KEY,)))

    async def main() -> tuple[Any, list[Any]]:
        async with world.router() as router:
            return await send(router, requests(4), row_retries=1)

    status, results = run(main())
    assert status.status is BatchStatus.EXPIRED
    assert sorted(result.status for result in results) == ["expired", "succeeded", "succeeded", "succeeded"]
    assert [result.custom_id for result in results] == ["q0", "q1", "q2", "q3"]
    assert len(world.jobs()) == 2


def test_results_can_be_read_before_the_end(begin: Any) -> None:
    """With `partial` those of the shard that is done, while the other one's job is out of sight; without, an error."""
    lost = Fault(match="GET /batches/batch_000002", do="status", status=503, times=10_000)
    world = begin(Scenario(faults=(lost,), keys=(KEY,)))

    async def main() -> list[Any]:
        async with world.router() as router:
            batch_id = await router.send_batch("openai", requests(6))
            found: list[Any] = []
            while not found:
                await asyncio.sleep(0.05)
                found = [result async for result in router.get_results("openai", batch_id, partial=True)]
            with pytest.raises(BatchNotFinishedError):
                await answers(router, batch_id)
            return found

    shards = {tuple(f"q{n}" for n in range(4)), ("q4", "q5")}
    assert tuple(result.custom_id for result in run(main())) in shards


def test_failed_rows_are_sent_again_on_request(begin: Any) -> None:
    """`retry` makes a batch of them alone; a second `retry` of the same batch is refused, for it would pay twice."""
    world = begin(Scenario(refuse=(Refusal(status=400, match="1"),), keys=(KEY,)))

    async def main() -> None:
        async with world.router() as router:
            batch_id = await router.send_batch("openai", requests(3))
            await router.wait_for_completion("openai", batch_id)
            client = world.client(router)
            again = client.retry(batch_id)
            await router.wait_for_completion("openai", again, timeout=60)
            assert [(result.custom_id, result.status) for result in client.results(again)] == [("q1", "errored")]
            with pytest.raises(ValidationError, match=f"sent again before, as {again}; retry that one"):
                client.retry(batch_id)
            fine = await router.send_batch("openai", requests(1))
            await router.wait_for_completion("openai", fine)
            with pytest.raises(ValidationError, match=r"every row of .* was answered"):
                client.retry(fine)

    run(main())


@pytest.mark.parametrize("arrived", [True, False])
def test_a_parked_shard_goes_on_as_the_operator_says(
    begin: Any, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    """The answer to create is lost, and the provider lists no jobs: attached or created again, one job runs."""
    monkeypatch.setattr(policy, "DAY", 0)
    lost = Fault(match="POST /batches", do="reset_after" if arrived else "reset_before")
    closed = Fault(match="GET /batches", do="status", status=403)
    world = begin(Scenario(faults=(lost, closed), keys=(KEY,)))

    async def main() -> None:
        async with world.router() as router:
            batch_id = await router.send_batch("openai", requests(2))
            client = world.client(router)
            while (status := client.status(batch_id)).status is not BatchStatus.PARKED:
                await asyncio.sleep(0.05)
            assert "a job may have been created" in str(status.waiting_for)
            with pytest.raises(ValidationError, match="decide: --attach JOB"):
                client.resolve(batch_id)
            with pytest.raises(ProviderAPIError):
                client.resolve(batch_id, attach="batch_999999")
            decision = {"attach": world.jobs()[0]} if arrived else {"recreate": True}
            assert client.resolve(batch_id, **decision) == f"{batch_id}.0"
            status = await router.wait_for_completion("openai", batch_id, timeout=60)
            assert (status.status, status.request_counts.succeeded) == (BatchStatus.COMPLETED, 2)
            with pytest.raises(ValidationError, match="is not parked"):
                client.resolve(batch_id, recreate=True)
            with pytest.raises(BatchNotFoundError):
                client.resolve("unknown.7", recreate=True)

    run(main())
    assert len(world.jobs()) == 1


def test_a_batch_outlives_its_process(begin: Any) -> None:
    """The process is killed right after sending; a new router, asked for the status, carries the same jobs on."""
    world = begin(Scenario(latency=Latency(in_progress=2), keys=(KEY,)))
    program = f"""
import asyncio
from pathlib import Path
from batch_router import BatchRouter
from batch_router.providers import OpenAIProvider
from batch_router.settings import Settings
async def main():
    router = BatchRouter(Settings(home=Path({str(world.home)!r}), max_shard_rows=4, lease=3, renew_every=1))
    router.register_provider(OpenAIProvider(api_key={KEY!r}, base_url={world.simulator.url + "/openai/v1"!r}))
    rows = [{{"custom_id": f"q{{n}}", "prompt": "hi"}} for n in range(6)]
    print(await router.send_batch("openai", rows, model="gpt-4o"), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        batch_id = process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGKILL)

    async def main() -> list[tuple[str, str | None]]:
        async with world.router() as router:
            assert not (await router.get_status("openai", batch_id)).is_complete()
            with pytest.raises(BatchNotFinishedError):
                await answers(router, batch_id)
            await router.wait_for_completion("openai", batch_id, timeout=60)
            return await answers(router, batch_id)

    assert [custom_id for custom_id, _ in run(main())] == [f"q{number}" for number in range(6)]
    assert len(world.jobs()) == 2


def test_an_engine_of_a_router_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one of the router's settings. Closing the router ends it; the next router has only the rows left."""
    day = tmp_path / "day.toml"
    day.write_text("[latency]\nin_progress = 100\n")
    monkeypatch.setenv("BATCH_ROUTER_VLLM_SCENARIO", str(day))
    monkeypatch.setenv("BATCH_ROUTER_HOME", str(tmp_path / "home"))  # what its processes are known by
    command = f"{sys.executable} -m batch_router.simulator.vllm"
    settings = Settings(home=tmp_path / "home", sections=(VLLMSettings(command=command),), lease=3, renew_every=0.5)
    answers = (tmp_path / "home").glob

    def router() -> BatchRouter:
        made = BatchRouter(settings)
        made.register_provider(VLLMProvider())
        return made

    async def begin() -> str:
        async with router() as first:
            batch_id = await first.send_batch("vllm", requests(60))
            while not any(path.read_bytes().count(b"\n") for path in answers("**/*.part-*.jsonl")):
                await asyncio.sleep(0.1)
            assert engines_of(settings.home) != []
            return batch_id

    async def end(batch_id: str) -> list[str]:
        async with router() as second:
            await second.wait_for_completion("vllm", batch_id, timeout=60)
            return [result.custom_id async for result in second.get_results("vllm", batch_id)]

    batch_id = run(begin())
    assert engines_of(settings.home) == []
    (part,) = answers("**/*.part-*.jsonl")
    kept = part.read_bytes()
    assert 0 < kept.count(b"\n") < 60
    day.write_text("")
    assert run(end(batch_id)) == [f"q{number}" for number in range(60)]
    (fetched,) = answers("**/*-answers-0.jsonl")
    assert fetched.read_bytes().startswith(kept)


def test_the_wait_ends_when_the_time_is_over(begin: Any) -> None:
    """The error says which batch and how long; the batch itself goes on, and can be cancelled then."""
    world = begin(SLOW)

    async def main() -> None:
        async with world.router() as router:
            batch_id = await router.send_batch("openai", requests(2))
            with pytest.raises(BatchTimeoutError, match=f"Batch {batch_id} had not ended after 0.5 s of waiting"):
                await router.wait_for_completion("openai", batch_id, timeout=0.5)
            assert await router.cancel_batch("openai", batch_id)
            status = await router.wait_for_completion("openai", batch_id, timeout=60)
            assert status.status is BatchStatus.CANCELLED
            assert not await router.cancel_batch("openai", batch_id)

    run(main())


def test_a_failed_batch_is_an_error(begin: Any) -> None:
    """The provider refuses the job after it took it: waiting for it raises, with the provider's words."""
    world = begin(Scenario(fail_job="model_not_found", latency=Latency(validating=1), keys=(KEY,)))

    async def main() -> None:
        async with world.router() as router:
            batch_id = await router.send_batch("openai", requests(2))
            with pytest.raises(BatchFailedError, match=rf"^Batch {batch_id} failed: [^{{]+$") as caught:
                await router.wait_for_completion("openai", batch_id, timeout=60)
            assert caught.value.error_details["type"] == "model_not_found"

    run(main())


def test_a_bad_key_is_an_error_of_sending(begin: Any) -> None:
    """Of the class that says so, in one sentence with the provider's status, and without the key."""
    world = begin()

    async def main() -> None:
        async with world.router(key="sk-wrong-canary") as router:
            with pytest.raises(
                CredentialsError, match=r"^openai answered 401: Incorrect API key provided: \S+$"
            ) as caught:
                await router.send_batch("openai", requests(2))
            assert caught.value.status_code == 401
            assert "sk-wrong-canary" not in str(caught.value)

    run(main())
    assert world.jobs() == []


def test_what_was_not_registered_is_not_found(begin: Any) -> None:
    """A provider that is installed, but was not registered, is refused by name; so is an unknown batch."""
    world = begin()
    router = world.router()
    assert router.list_providers() == ["openai"]
    for call in (
        router.send_batch("anthropic", requests(1)),
        router.get_status("anthropic", "x"),
        router.wait_for_completion("anthropic", "x"),
        router.cancel_batch("anthropic", "x"),
    ):
        with pytest.raises(ProviderNotFoundError, match="'anthropic' not found; known: openai"):
            run(call)
    with pytest.raises(BatchNotFoundError):
        run(router.get_status("openai", "x"))


def test_bad_requests_are_refused_before_anything_is_sent(begin: Any) -> None:
    """Duplicates, a parameter that the provider does not take: a ValidationError that says which row."""
    world = begin()
    router = world.router()
    with pytest.raises(ValidationError, match=r"requests\[1\]: custom_id: 'q0' was used before"):
        run(router.send_batch("openai", requests(1) * 2))
    with pytest.raises(ValidationError, match=r"requests\[0\]: generation_config.top_k: openai does not take it"):
        run(
            router.send_batch(
                "openai", [{"custom_id": "a", "prompt": "b", "generation_config": {"top_k": 2}}], model="m"
            )
        )
    assert world.simulator.requests() == []
    assert run(router.list_batches()) == []


def test_a_registered_provider_is_not_changed(tmp_path: Path) -> None:
    """The router calls the service that the settings name; the caller's object still names none."""
    provider = OpenAIProvider()
    router = BatchRouter(Settings(home=tmp_path, base_urls={"openai": "http://localhost:1"}), in_memory=True)
    router.register_provider(provider)
    assert (provider.base_url, router.get_provider("openai").base_url) == (None, "http://localhost:1")
