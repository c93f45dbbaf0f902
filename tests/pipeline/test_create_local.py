"""Creating a job that runs in here: nothing of it is on its way anywhere."""

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from batch_router.core import BatchStatus
from batch_router.exceptions import FileOperationError
from batch_router.pipeline.context import Context, Outcome
from batch_router.pipeline.create import create
from batch_router.pipeline.upload import job_spec
from batch_router.state.base import Commit
from batch_router.state.items import Intent, Shard
from batch_router.state.table import State

BATCH = {"provider": "vllm", "input": {"path": "in", "size": 1, "hash": "0"}, "submission": "s"}


@pytest.fixture
def shard(make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch) -> tuple[Context, Shard]:
    """A shard of one row."""
    monkeypatch.setenv("BATCH_ROUTER_VLLM_COMMAND", f"{sys.executable} -m batch_router.simulator.vllm")
    context = make_context(clock=time.time)
    context.store.create("b", BATCH, delay=0)
    context.store.claim("b", 1, lease=10, holder="w")
    with context.storage.write("t0") as stream:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        row = {"custom_id": "t0-0", "method": "POST", "url": "/v1/chat/completions", "body": body}
        size = stream.write(msgspec.json.encode(row) + b"\n")
    facts = {"provider": "vllm", "token": "t0", "model": "m", "rows": 1, "size": size, "first_row": 0}
    facts |= {"requests": "t0", "row_ids": "i", "upload": str(context.storage.path("t0").absolute())}
    context.store.commit("b", 2, Commit(State.RUNNING, None, {"rows": 1}, [facts]), holder="w")
    made = context.store.get_shard("b.0")
    assert made is not None
    return context, msgspec.structs.replace(made, state=State.CREATING)


def created(context: Context, shard: Shard) -> Outcome:
    """What the step says, run under a lease as a worker runs it."""
    item = context.store.claim(shard.id, 1, lease=10, holder="w")
    assert item is not None
    with context.keeper.hold(item.id, item.version, "w", time.monotonic()) as lease:
        return create(dataclasses.replace(context, _lease=lease), shard)


def attempted(shard: Shard) -> Shard:
    now = time.time()
    return msgspec.structs.replace(shard, intent=Intent(at=now, late_until=now))


def test_a_run_that_left_nothing_is_begun_anew_at_once(shard: tuple[Context, Shard]) -> None:
    """A worker that died in it is not waited for: no request of its can still arrive."""
    context, item = shard
    anew = created(context, attempted(item))
    assert (anew.state, anew.patch["intent"], anew.patch["job"].status) == (State.POLLING, None, BatchStatus.COMPLETED)


def test_a_cancelled_run_keeps_what_earlier_ones_answered(shard: tuple[Context, Shard]) -> None:
    """The worker that had it was stopped, and the user cancels before another one has gone on: no engine starts."""
    context, item = shard
    rows = context.storage.path("t0")
    kept = b'{"custom_id": "t0-0", "response": {"status_code": 200, "body": {}}, "error": null}\n'
    rows.with_name("t0.part-00000.jsonl").write_bytes(kept)
    ended = created(context, msgspec.structs.replace(item, cancel=True))
    assert (ended.state, ended.patch["job"].status) == (State.POLLING, BatchStatus.CANCELLED)
    assert Path(ended.patch["job"].outputs[0]).read_bytes() == kept


def test_a_folder_that_cannot_be_written_is_no_doubt(shard: tuple[Context, Shard]) -> None:
    """Nothing is on its way, so the next try need not look for it, and the tries are counted."""
    context, item = shard
    context.storage.path("t0.out.jsonl.tmp").mkdir()
    with pytest.raises(FileOperationError, match="the engine's files cannot be written"):
        created(context, item)
    left = context.store.get_shard("b.0")
    assert left is not None
    assert left.intent is None


def test_a_run_that_came_to_its_end_is_taken_up(shard: tuple[Context, Shard]) -> None:
    """Only the worker's word of it was lost: nothing runs again."""
    context, item = shard
    client = context.clients.get("vllm")
    job = client.create(context.storage.path("t0"), job_spec(item))
    found = create(context, attempted(item))
    assert (found.state, found.patch["job"]) == (State.POLLING, job)
