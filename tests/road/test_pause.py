"""A provider that asks to be left alone is, by all shards of the account."""

import time
from collections.abc import Callable

import pytest

from batch_router.road.advance import advance
from batch_router.road.context import Context
from batch_router.simulator import Scenario, Simulator
from batch_router.simulator.scenario import Fault
from batch_router.state.table import State
from tests.items import new_shard, put_shards


@pytest.mark.parametrize(("asked", "calls"), [("30", 1), (None, 2)])
def test_a_pause_is_for_all_shards(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, asked: str | None, calls: int
) -> None:
    """With `Retry-After` no worker calls before it ends, and status says why; a 429 without it holds back one shard."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    busy = Fault(match="POST /files", do="status", status=429, retry_after=asked, times=9)
    with Simulator(Scenario(faults=(busy,))) as simulator:
        context = make_context(clock=time.time, base_urls={"openai": f"{simulator.url}/openai/v1"})
        with context.storage.write(new_shard().requests) as stream:
            stream.write(b"{}\n")
        put_shards(context.store, new_shard(label=f"{0:016x}"), new_shard(label=f"{1:016x}"))
        delays = [done.delay for number in (0, 1) if (done := advance(context, f"b.{number}", 1))]
        assert len(simulator.requests()) == calls
    shard = context.store.get_shard("b.1")
    assert shard is not None
    assert shard.error is not None
    assert (shard.state, shard.error.type) == (State.UPLOADING, "rate_limited")
    assert (delays[1] > 25, shard.attempts) == ((True, 0) if asked else (False, 1))
