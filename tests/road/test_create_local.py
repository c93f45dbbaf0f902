"""Creating a job that runs in here: nothing of it is on its way anywhere."""

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from batch_router.core import BatchStatus
from batch_router.core.jobs import Progress
from batch_router.exceptions import FileOperationError, ProviderUnavailableError
from batch_router.providers.vllm import VLLMSettings
from batch_router.road.advance import advance
from batch_router.road.context import Clients, Context, Running
from batch_router.road.failure import after_failure
from batch_router.road.jobs import job_spec
from batch_router.road.outcome import Outcome
from batch_router.road.steps import find_step
from batch_router.road.steps.create import create
from batch_router.state.items import Shard
from batch_router.state.table import State
from tests.file_rows import FileRows
from tests.items import LABEL, facts_of, new_shard, put_shards

ROWS = "generated/vllm/b/s/rows.jsonl"


def beside(context: Context, end: str) -> Path:
    return Path(context.storage.address, f"{ROWS}{end}")


@pytest.fixture
def shard(make_context: Callable[..., Context]) -> tuple[Context, Shard]:
    """A shard of two rows."""
    context = make_context(
        clock=time.time, sections=(VLLMSettings(command=f"{sys.executable} -m batch_router.simulator.vllm"),)
    )
    with context.storage.write(ROWS) as stream:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        row = {"method": "POST", "url": "/v1/chat/completions", "body": body}
        rows = [msgspec.json.encode({"custom_id": f"{LABEL}-{number}", **row}) + b"\n" for number in range(2)]
        size = stream.write(b"".join(rows))
    (made,) = put_shards(
        context.store, new_shard(provider="vllm", label=LABEL, rows=2, size=size, requests=ROWS, upload=ROWS)
    )
    return context, msgspec.structs.replace(made, state=State.CREATING)


def created(context: Context, shard: Shard) -> Outcome:
    """What the step says, run under a lease as a worker runs it."""
    item = context.store.claim(shard.id, 1, lease=10, holder="w")
    assert item is not None
    with context.keeper.hold(item.id, item.version, "w", time.monotonic()) as lease:
        return create(Running.under(lease, context), shard)


KEPT = f'{{"custom_id": "{LABEL}-0", "response": {{"status_code": 200, "body": {{}}}}, "error": null}}\n'.encode()


def test_a_run_has_no_intent(shard: tuple[Context, Shard]) -> None:
    """Nothing is on its way anywhere, so nothing of it is waited for if its worker dies."""
    context, item = shard
    made = created(context, item)
    assert (made.state, facts_of(made)["job"].status) == (State.POLLING, BatchStatus.COMPLETED)
    left = context.store.get_shard("b.0")
    assert left is not None
    assert left.intent is None


def test_a_shard_that_is_given_up_keeps_what_was_answered(shard: tuple[Context, Shard]) -> None:
    """Its failure is for the rows that have no answer."""
    context, item = shard
    settings = msgspec.structs.replace(context.settings, sections=(VLLMSettings(command="/no/vllm"),))
    context = dataclasses.replace(context, clients=Clients(settings))
    beside(context, ".part-00000.jsonl").write_bytes(KEPT)
    moved = advance(context, item.id, 1)
    assert moved is not None
    assert moved.hint is not None
    moved = advance(context, item.id, moved.hint.version)
    given_up = context.store.get_shard("b.0")
    assert moved is not None
    assert given_up is not None
    assert (given_up.state, given_up.failure and given_up.failure.type) == (State.POLLING, "engine_missing")
    assert given_up.job is not None
    assert Path(context.storage.address, given_up.job.outputs[0]).read_bytes() == KEPT


@pytest.mark.parametrize(("completed", "attempts"), [(5, 10), (6, 1)])
def test_tries_that_made_progress_do_not_count(context: Context, completed: int, attempts: int) -> None:
    """A shard of many hours has many of them."""
    before = Progress(completed=5, before=5, since=0, at=0)
    put_shards(context.store, new_shard(provider="vllm", attempts=9, progress=before))
    item = context.store.claim("b.0", 1, lease=10, holder="w")
    assert item is not None
    with context.keeper.hold("b.0", 2, "w", since=0) as lease:
        lease.renew(progress=msgspec.structs.replace(before, completed=completed))
        error = ProviderUnavailableError("vllm", 0, "gone")
        outcome = after_failure(Running.under(lease, context), item, find_step("upload"), error)
    assert (outcome.state, outcome.facts.get("attempts")) == (State.UPLOADING, attempts)


def test_a_cancelled_run_keeps_what_earlier_ones_answered(shard: tuple[Context, Shard]) -> None:
    """The worker that had it was stopped, and the user cancels before another one has gone on: no engine starts."""
    context, item = shard
    beside(context, ".part-00000.jsonl").write_bytes(KEPT)
    ended = created(context, msgspec.structs.replace(item, cancel=True))
    assert (ended.state, facts_of(ended)["job"].status) == (State.POLLING, BatchStatus.CANCELLED)
    assert Path(context.storage.address, facts_of(ended)["job"].outputs[0]).read_bytes() == KEPT


def test_a_folder_that_cannot_be_written_is_said(shard: tuple[Context, Shard]) -> None:
    """The shard waits for it."""
    context, item = shard
    beside(context, ".out.jsonl.tmp").mkdir()
    with pytest.raises(FileOperationError, match="the engine's files cannot be written") as raised:
        created(context, item)
    assert raised.value.retryable


def test_a_run_that_came_to_its_end_is_taken_up(shard: tuple[Context, Shard]) -> None:
    """Only the worker's word of it was lost: nothing runs again."""
    context, item = shard
    client = context.clients.get("vllm")
    job = client.create(FileRows(beside(context, ""), ROWS), job_spec(item))
    found = created(context, item)
    assert (found.state, facts_of(found)["job"]) == (State.POLLING, job)


def test_the_time_of_all_runs_is_known(shard: tuple[Context, Shard]) -> None:
    """That of a worker that died, until it last told how far it was, too: hours are what an own GPU costs."""
    context, item = shard
    earlier = Progress(completed=1, before=0, since=0, at=0, spent=100)
    assert 100 < facts_of(created(context, msgspec.structs.replace(item, progress=earlier)))["run_for"] < 200
