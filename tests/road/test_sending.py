"""Rows leave a worker only while its lease holds and before a deadline; a request that is cut short makes no job."""

import io
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from batch_router.core import UnifiedRequest
from batch_router.core.jobs import JobSpec
from batch_router.exceptions import ProviderUnavailableError
from batch_router.providers import SLOWEST_SENDING, find_provider
from batch_router.road.context import Context, Running
from batch_router.road.jobs import rows_to_send
from batch_router.road.lease import Lease
from batch_router.road.sending import MARGIN, Sending, TimedStream, time_to_send
from batch_router.settings import Settings
from batch_router.simulator import Simulator
from tests.items import LABEL, new_shard, put_shards

ROWS = 3_000
URLS = {"openai": "openai/v1", "anthropic": "anthropic", "google": "google"}


def lease_for(context: Context, seconds: float) -> Lease:
    """A lease that ends so soon, and that nothing renews."""
    return Lease(context.store, "b.0", 2, "w", seconds, time.monotonic())


class SlowLine(Sending):
    """The second piece is sent after the lease has ended."""

    pieces = 0

    def check(self) -> None:
        self.pieces += 1
        if self.pieces == 2:
            time.sleep(0.6)
        super().check()


def test_rows_are_read_only_while_the_lease_holds(context: Context) -> None:
    """A read near the end of the lease raises, and the error says that some of the rows may have arrived."""
    held = TimedStream(io.BytesIO(b"rows"), Sending("p", lease_for(context, 60), 60))
    assert held.read(2) == b"ro"
    lost = TimedStream(io.BytesIO(b"rows"), Sending("p", lease_for(context, 1), 60))
    with pytest.raises(ProviderUnavailableError, match="lost touch with the store") as caught:
        lost.read(2)
    assert caught.value.ambiguous


def test_rows_are_read_only_before_the_deadline(context: Context) -> None:
    """However long the lease is renewed: a line that is too slow ends the request."""
    late = TimedStream(io.BytesIO(b"rows"), Sending("p", lease_for(context, 60), 0))
    with pytest.raises(ProviderUnavailableError, match="could not be sent within 0 s") as caught:
        late.read()
    assert caught.value.ambiguous


def test_the_deadline_follows_from_the_size() -> None:
    """As many seconds more as the slowest line takes for the rows."""
    settings = Settings(lease=10, renew_every=1, http_timeout=20)
    assert time_to_send(settings, 0) == 30
    assert time_to_send(settings, 100 * SLOWEST_SENDING) == 130


@pytest.mark.parametrize("provider", URLS)
def test_a_request_that_is_cut_short_makes_nothing(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """The lease ends while the rows are on their way: the rest is not sent, and there is no job and no file."""
    monkeypatch.setenv(find_provider(provider).key_variables[0], "k")
    with Simulator() as simulator:
        context = make_context(base_urls={provider: f"{simulator.url}/{URLS[provider]}"})
        (shard,) = put_shards(context.store, _stored(context, provider))
        running = Running.under(lease_for(context, MARGIN + 0.5), context)
        client = context.client_of(shard)
        rows = rows_to_send(running, shard)._replace(sending=SlowLine(provider, running.lease, 60))
        spec = JobSpec(label=LABEL, model="m", rows=ROWS, upload=None)
        with pytest.raises(ProviderUnavailableError, match="lost touch") as caught:
            (client.create if provider == "anthropic" else client.upload)(rows, spec)
        assert caught.value.ambiguous
        assert list(client.list(10)) == []
        assert not [each for each in simulator.requests() if each.get("filename") or each.get("job")]


def _stored(context: Context, provider: str) -> Any:
    """A shard whose rows take several reads of any client."""
    request = msgspec.convert(
        {
            "custom_id": "a",
            "model": "m",
            "messages": [{"role": "user", "content": "x" * 4_000}],
            "generation_config": {"max_tokens": 9},
        },
        UnifiedRequest,
    )
    shard = new_shard(provider=provider, rows=ROWS)
    encode = find_provider(provider).codec.encode
    with context.storage.write(shard.requests) as stream:
        for number in range(ROWS):
            stream.write(msgspec.json.encode(encode(request, f"{LABEL}-{number}")) + b"\n")
    return msgspec.structs.replace(shard, size=context.storage.size(shard.requests))
