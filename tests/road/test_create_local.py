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
from batch_router.exceptions import FileOperationError
from batch_router.road.advance import advance
from batch_router.road.context import Clients, Context, Outcome
from batch_router.road.jobs import job_spec
from batch_router.road.local_job import after_run
from batch_router.road.steps.create import create
from batch_router.state.base import Commit
from batch_router.state.items import Shard
from batch_router.state.table import State
from tests.file_rows import FileRows

BATCH = {"provider": "vllm", "input": {"path": "in", "size": 1, "hash": "0"}, "submission": "s"}


@pytest.fixture
def shard(make_context: Callable[..., Context]) -> tuple[Context, Shard]:
    """A shard of two rows."""
    context = make_context(clock=time.time, vllm_command=f"{sys.executable} -m batch_router.simulator.vllm")
    context.store.create("b", BATCH, delay=0)
    context.store.claim("b", 1, lease=10, holder="w")
    with context.storage.write("t0") as stream:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        row = {"method": "POST", "url": "/v1/chat/completions", "body": body}
        rows = [msgspec.json.encode({"custom_id": f"t0-{number}", **row}) + b"\n" for number in range(2)]
        size = stream.write(b"".join(rows))
    facts = {"provider": "vllm", "token": "t0", "model": "m", "rows": 2, "size": size, "first_row": 0}
    facts |= {"requests": "t0", "row_ids": "i", "upload": str(context.storage.path("t0").absolute())}
    context.store.commit("b", 2, Commit(State.RUNNING, None, {"rows": 2}, [facts]), holder="w")
    made = context.store.get_shard("b.0")
    assert made is not None
    return context, msgspec.structs.replace(made, state=State.CREATING)


def created(context: Context, shard: Shard) -> Outcome:
    """What the step says, run under a lease as a worker runs it."""
    item = context.store.claim(shard.id, 1, lease=10, holder="w")
    assert item is not None
    with context.keeper.hold(item.id, item.version, "w", time.monotonic()) as lease:
        return create(dataclasses.replace(context, _lease=lease), shard)


KEPT = b'{"custom_id": "t0-0", "response": {"status_code": 200, "body": {}}, "error": null}\n'


def test_a_run_has_no_intent(shard: tuple[Context, Shard]) -> None:
    """Nothing is on its way anywhere, so nothing of it is waited for if its worker dies."""
    context, item = shard
    made = created(context, item)
    assert (made.state, made.patch["job"].status) == (State.POLLING, BatchStatus.COMPLETED)
    left = context.store.get_shard("b.0")
    assert left is not None
    assert left.intent is None


def test_a_shard_that_is_given_up_keeps_what_was_answered(shard: tuple[Context, Shard]) -> None:
    """Its failure is for the rows that have no answer."""
    context, item = shard
    settings = msgspec.structs.replace(context.settings, vllm_command="/no/vllm")
    context = dataclasses.replace(context, clients=Clients(settings))
    context.storage.path("t0.part-00000.jsonl").write_bytes(KEPT)
    moved = advance(context, item.id, 1)
    assert moved is not None
    assert moved.hint is not None
    moved = advance(context, item.id, moved.hint.version)
    given_up = context.store.get_shard("b.0")
    assert moved is not None
    assert given_up is not None
    assert (given_up.state, given_up.failure and given_up.failure.type) == (State.POLLING, "engine_missing")
    assert given_up.job is not None
    assert Path(given_up.job.outputs[0]).read_bytes() == KEPT


def test_tries_that_got_on_do_not_count(shard: tuple[Context, Shard]) -> None:
    """A shard of many hours has many of them."""
    _, item = shard
    tired = msgspec.structs.replace(item, attempts=149, progress=Progress(completed=5, before=5, since=0, at=0))
    further = msgspec.structs.replace(tired, progress=Progress(completed=6, before=5, since=0, at=9))
    assert (after_run(tired, tired).attempts, after_run(tired, further).attempts) == (149, 0)


def test_a_cancelled_run_keeps_what_earlier_ones_answered(shard: tuple[Context, Shard]) -> None:
    """The worker that had it was stopped, and the user cancels before another one has gone on: no engine starts."""
    context, item = shard
    rows = context.storage.path("t0")
    rows.with_name("t0.part-00000.jsonl").write_bytes(KEPT)
    ended = created(context, msgspec.structs.replace(item, cancel=True))
    assert (ended.state, ended.patch["job"].status) == (State.POLLING, BatchStatus.CANCELLED)
    assert Path(ended.patch["job"].outputs[0]).read_bytes() == KEPT


def test_a_folder_that_cannot_be_written_is_said(shard: tuple[Context, Shard]) -> None:
    """The shard waits for it."""
    context, item = shard
    context.storage.path("t0.out.jsonl.tmp").mkdir()
    with pytest.raises(FileOperationError, match="the engine's files cannot be written") as raised:
        created(context, item)
    assert raised.value.retryable


def test_a_run_that_came_to_its_end_is_taken_up(shard: tuple[Context, Shard]) -> None:
    """Only the worker's word of it was lost: nothing runs again."""
    context, item = shard
    client = context.clients.get("vllm")
    job = client.create(FileRows(context.storage.path("t0")), job_spec(item))
    found = create(context, item)
    assert (found.state, found.patch["job"]) == (State.POLLING, job)
