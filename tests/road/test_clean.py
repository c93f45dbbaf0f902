"""What is left at a provider when a batch is over: nothing, unless the user wants it or the service refuses."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batch_router import BatchRouter
from batch_router.core import BatchStatus
from batch_router.core.jobs import Job, JobSpec
from batch_router.providers import find_provider
from batch_router.road import refetch
from batch_router.road.advance import advance
from batch_router.road.context import Context, Running
from batch_router.road.steps import find_step
from batch_router.road.steps.clean import clean
from batch_router.settings import Settings
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault, Refusal
from batch_router.state.base import Commit
from batch_router.state.facts import ShardFacts
from batch_router.state.items import Shard
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import LABEL, facts_of, fetched, new_shard, put_shards

URLS = {"openai": "openai/v1", "anthropic": "anthropic", "google": "google"}
ROWS = [{"custom_id": str(number), "prompt": f"Row {number}"} for number in range(5)]


def run(simulator: Simulator, home: Path, provider: str, **options: Any) -> Any:
    """A batch of two shards, from its submission to its end; its status."""

    async def main() -> Any:
        async with BatchRouter(Settings(home=home, max_shard_rows=3), in_memory=True) as router:
            url = f"{simulator.url}/{URLS[provider]}"
            router.register_provider(find_provider(provider)(api_key="k", base_url=url))
            config = {"max_tokens": 9}
            batch_id = await router.send_batch(provider, ROWS, model="m", generation_config=config, **options)
            return await router.wait_for_completion(provider, batch_id, poll_interval=0.05)

    return asyncio.run(main())


def left_at(simulator: Simulator) -> list[str]:
    """The files that lie at the provider, by the provider's own disk."""
    return [path.name for name in URLS for path in (simulator.folder / name).iterdir()]


@pytest.mark.parametrize("provider", URLS)
def test_nothing_is_left_at_the_provider(tmp_path: Path, provider: str) -> None:
    """Uploads and answers are deleted once the results are here, error files and all."""
    with Simulator(Scenario(refuse=(Refusal(match="4"),))) as simulator:
        status = run(simulator, tmp_path, provider)
        assert (status.request_counts.succeeded, status.request_counts.errored) == (4, 1)
        assert left_at(simulator) == []


@pytest.mark.parametrize("provider", URLS)
def test_what_the_user_wants_to_keep_is_left(tmp_path: Path, provider: str) -> None:
    """With `keep_remote` nothing is deleted."""
    with Simulator() as simulator:
        assert run(simulator, tmp_path, provider, keep_remote=True).request_counts.succeeded == 5
        assert len(left_at(simulator)) >= 2
        assert not any(note["method"] == "DELETE" for note in simulator.requests())


def test_a_refusal_to_delete_fails_nothing(tmp_path: Path) -> None:
    """The batch is complete, and the status of its shards says what was left behind."""
    refusals = (Fault(match="DELETE /files/.*", do="status", status=403, times=100),)
    with Simulator(Scenario(faults=refusals)) as simulator:
        status = run(simulator, tmp_path, "openai")
    assert (status.status, status.request_counts.succeeded) == ("completed", 5)
    assert all("403" in shard.left_behind.message for shard in status.shards)


def test_answers_that_were_not_fetched_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is said to be gone ends in errors here, and nothing that may be paid for is deleted there."""
    monkeypatch.setattr(refetch, "LOOKS", (0.01,) * 5)
    refusals = (Fault(match="GET /files/.*/content", do="status", status=404, times=100),)
    with Simulator(Scenario(faults=refusals)) as simulator:
        with pytest.raises(Exception, match="404"):
            run(simulator, tmp_path / "home", "openai")
        made = [note for note in simulator.requests() if note.get("job")]
        assert (len(made), len(left_at(simulator))) == (2, 4)
        assert not any(note["method"] == "DELETE" for note in simulator.requests())


@pytest.fixture
def begin(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Context]:
    """`begin(simulator)`: a context with the shard `b.0`, which waits for its upload to OpenAI."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def make(simulator: Simulator) -> Context:
        context = make_context(base_urls={"openai": f"{simulator.url}/openai/v1"})
        with context.storage.write(new_shard().requests) as stream:
            stream.write(b"{}\n")
        put_shards(context.store, new_shard())
        return context

    return make


def shard_of(context: Context) -> Shard:
    shard = context.store.get_shard("b.0")
    assert shard is not None
    return shard


def upload_of(context: Context) -> str:
    """What a worker uploads that never commits."""
    client = context.clients.get("openai")
    spec = JobSpec(label=LABEL, model="m", rows=1, upload=None)
    return str(client.upload(FileRows(Path(context.storage.address, new_shard().requests)), spec))


def test_a_file_that_a_dead_uploader_left_is_deleted(begin: Any) -> None:
    """The shard remembers that an upload was begun before: then its files are looked for by their name."""
    with Simulator() as simulator:
        context = begin(simulator)
        context.store.claim("b.0", 1, lease=0, holder="dead")
        context.store.renew("b.0", 2, holder="dead", lease=0, facts={"uploads": 1})
        upload_of(context)
        assert advance(context, "b.0", 2)
        shard = shard_of(context)
        assert (shard.state, shard.uploads, len(left_at(simulator))) == (State.CREATING, 2, 2)
        clean(context, msgspec.structs.replace(shard, created_at=0))  # the store of a test has a clock of its own
        assert left_at(simulator) == []


@pytest.mark.parametrize("changes", [{"upload": None, "uploads": 0}, {"uploads": 1, "round": 1}])
def test_a_file_whose_upload_the_store_forgot_is_deleted(begin: Any, changes: dict[str, Any]) -> None:
    """The doubt is over: the job was found, or the shard began anew; files are looked for by their name."""
    with Simulator() as simulator:
        context = begin(simulator)
        upload_of(context)
        shard = msgspec.structs.replace(shard_of(context), created_at=0, submitted_at=0, last_doubt=1.0, **changes)
        if shard.round:
            shard = msgspec.structs.replace(shard, upload=upload_of(context))
        clean(context, shard)
        assert left_at(simulator) == []


@pytest.mark.parametrize(
    ("state", "owned", "left"),
    [
        (State.CREATING, True, 1),  # a lost reply: the commit had been made
        (State.CREATING, False, 0),
        (State.UPLOADING, False, 1),  # the next uploader may be about to find it; `clean` deletes it in any case
        (State.COMPLETED, True, 0),  # a name that is always the same: the shard's own file was deleted before
    ],
)
def test_an_uploader_that_lost_its_claim_takes_its_file_back(begin: Any, state: State, owned: bool, left: int) -> None:
    """Unless the file is the shard's."""
    with Simulator() as simulator:
        context = begin(simulator)
        name = upload_of(context)
        shard = shard_of(context)
        context.store.claim("b.0", 1, lease=10, holder="w")
        facts = ShardFacts(upload=name if owned else "file-of-another")
        context.store.commit("b.0", 2, Commit(state, 0, facts if state is not State.UPLOADING else {}), holder="w")
        undo = find_step("upload").undo
        assert undo is not None
        with context.keeper.hold("b.0", 2, "w", since=0) as lease:
            undo(Running.under(lease, context), shard, {"upload": name})
        assert len(left_at(simulator)) == left


def test_a_cancelled_shard_needs_no_key(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as cancelled where no key is set: nothing was sent, and nothing is asked of the provider."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    context = make_context()
    with context.storage.write(new_shard().row_ids) as stream:
        stream.write(b'[0,"q0"]\n')
    put_shards(context.store, new_shard())
    context.store.cancel("b")
    version = 1
    while (done := advance(context, "b.0", version)) is not None and done.hint is not None:
        version = done.hint.version
    assert shard_of(context).state is State.CANCELLED


def test_a_job_with_the_label_of_another_shard_is_left(begin: Any) -> None:
    """Whoever made it owns it: nothing of it is deleted, and the status says why."""
    with Simulator() as simulator:
        context = begin(simulator)
        theirs = Job(id="batch_1", status=BatchStatus.COMPLETED, created_at=0, label="f" * 16)
        shard = msgspec.structs.replace(shard_of(context), job=theirs, answers=fetched("answers", 1), uploads=1)
        left = facts_of(clean(context, shard))["left_behind"]
        assert left.message == f"batch_1 has the label {'f' * 16} instead of {LABEL}, so nothing of it was deleted"
        assert not any(note["method"] == "DELETE" for note in simulator.requests())
