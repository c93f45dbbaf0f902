"""The client for asyncio apps: the same methods as `BatchClient`, without holding up the event loop."""

import asyncio
import inspect
import threading
from itertools import accumulate, islice

import pytest

from batch_router import BatchClient, BatchNotFoundError, BatchStatus, BatchTimeoutError, ValidationError
from batch_router.async_client import AsyncBatchClient
from batch_router.operations.waiting import pauses
from batch_router.road.context import Context

ROWS = [{"custom_id": "a", "prompt": "b"}]


def methods(kind: type) -> dict[str, list[inspect.Parameter]]:
    """The public methods of a client, each with its parameters: names, kinds, types and defaults."""
    return {
        name: list(inspect.signature(function).parameters.values())
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def test_both_clients_have_the_same_methods() -> None:
    """Names and arguments agree, so that code moves from one to the other by adding `await`."""
    assert methods(AsyncBatchClient) == methods(BatchClient)


def test_a_batch_is_submitted_and_looked_at(context: Context) -> None:
    """Each call gives what the other client's gives."""

    async def main() -> None:
        async with AsyncBatchClient(context) as client:
            batch_id = await client.submit("openai", requests=ROWS, model="m")
            assert await client.status(batch_id) == BatchClient(context).status(batch_id)
            assert [status.batch_id for status in await client.list()] == [batch_id]
            assert await client.cancel(batch_id)
            with pytest.raises(BatchNotFoundError):
                await client.manifest("another")
            with pytest.raises(ValidationError, match="did you mean 'requests'"):
                await client.submit("openai", request=ROWS)  # type: ignore[call-arg]

    asyncio.run(main())


def test_a_wait_looks_from_the_event_loop(context: Context) -> None:
    """`on_status` is called where the app's own code runs, and the wait ends when its time is over."""
    seen: list[tuple[BatchStatus, threading.Thread]] = []

    async def main() -> None:
        client = AsyncBatchClient(context)
        batch_id = await client.submit("openai", requests=ROWS, model="m")
        with pytest.raises(BatchTimeoutError, match=batch_id):
            await client.wait(batch_id, 0, lambda status: seen.append((status.status, threading.current_thread())))

    asyncio.run(main())
    assert seen == [(BatchStatus.QUEUED, threading.main_thread())]


def test_a_wait_looks_ever_more_rarely() -> None:
    """At once, then at pauses of about a tenth of the wait so far, up to five seconds, until the time is over."""
    for_ever = list(islice(pauses(None), 200))
    assert for_ever[:2] == [0, 0.2]
    assert for_ever[1:] == sorted(for_ever[1:])
    assert for_ever[-1] == 5
    assert len([at for at in accumulate(for_ever) if at < 20]) < 30
    assert list(islice(pauses(None, first=60), 4)) == [0, 60, 60, 60]
    assert list(pauses(0)) == [0]
    assert all(pause <= 0.01 for pause in islice(pauses(0.01), 9))
