"""`BatchClient` for asyncio apps: the same methods, each in a thread, so that the event loop goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Self, TypeVar, Unpack

from .client import BatchClient
from .core import BatchStatus, BatchStatusResponse, CostSum, Estimate, Manifest, UnifiedResult
from .core.responses import decode_result
from .exceptions import BatchTimeoutError
from .intake.mistakes import takes_provider
from .intake.options import MapOptions, SubmitOptions
from .operations.ledger import Budget, Limit
from .operations.waiting import check_end, pauses
from .road.context import Context
from .state.base import Quarantined
from .tables.reading import TableLike

# Results that are read at once in a thread: one by one would cost more for the hand-over than for the reading.
_BLOCK = 500

_Item = TypeVar("_Item")


class AsyncBatchClient:
    """Batches of one store, for asyncio; `BatchClient` says what each method does and raises.

    Args:
        context: what to work with; by default what the environment says.
    """

    def __init__(self, context: Context | None = None) -> None:
        self._client = BatchClient(context)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._client.close)

    @takes_provider
    async def submit(self, provider: str, **options: Unpack[SubmitOptions]) -> str:
        """Put a batch into the store; returns its id."""
        return await asyncio.to_thread(self._client.submit, provider, **options)

    @takes_provider
    async def estimate(self, provider: str, **options: Unpack[SubmitOptions]) -> Estimate:
        """What a batch of these rows would take and cost."""
        return await asyncio.to_thread(self._client.estimate, provider, **options)

    async def costs(
        self, by: str | None = None, *, since: date | None = None, until: date | None = None
    ) -> Sequence[CostSum]:
        """What the batches cost that have ended."""
        return await asyncio.to_thread(self._client.costs, by, since=since, until=until)

    async def status(self, batch_id: str) -> BatchStatusResponse:
        """How a batch stands."""
        return await asyncio.to_thread(self._client.status, batch_id)

    async def list(
        self,
        limit: int = 20,
        *,
        provider: str | None = None,
        status: BatchStatus | str | None = None,
        prefix: str = "",
        since: datetime | None = None,
        before: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Sequence[BatchStatusResponse]:
        """The newest batches first, or those of them that fit."""
        return await asyncio.to_thread(
            self._client.list,
            limit,
            provider=provider,
            status=status,
            prefix=prefix,
            since=since,
            before=before,
            metadata=metadata,
        )

    async def budgets(self) -> Sequence[Budget]:
        """What scopes may cost, and what they have cost since they were given a budget."""
        return await asyncio.to_thread(self._client.budgets)

    async def set_budget(self, scope: str, dollars: Decimal | None) -> str:
        """Give a scope a budget, or take it away (None)."""
        return await asyncio.to_thread(self._client.set_budget, scope, dollars)

    async def limits(self) -> Sequence[Limit]:
        """How many tokens and jobs may wait or run at once."""
        return await asyncio.to_thread(self._client.limits)

    async def set_limit(
        self, provider: str, model: str, *, tokens: int | None, jobs: int | None, credential: str | None = None
    ) -> None:
        """Limit what waits or runs for an account and a model."""
        await asyncio.to_thread(
            self._client.set_limit, provider, model, tokens=tokens, jobs=jobs, credential=credential
        )

    async def pause(self, scope: str) -> str:
        """Create no further jobs in a scope; returns the scope."""
        return await asyncio.to_thread(self._client.pause, scope)

    async def unpause(self, scope: str) -> str:
        """Create jobs in a scope again; returns the scope."""
        return await asyncio.to_thread(self._client.unpause, scope)

    async def ids(self, prefix: str = "", limit: int = 20) -> Sequence[str]:
        """The ids that begin like this, of the newest batches first; one that is exactly it comes before all others."""
        return await asyncio.to_thread(self._client.ids, prefix, limit)

    async def wait(
        self,
        batch_id: str,
        timeout: float | None = None,
        on_status: Callable[[BatchStatusResponse], None] | None = None,
    ) -> BatchStatusResponse:
        """Wait until a batch has ended; `on_status` is called in the event loop. The wait can be cancelled."""
        for pause in pauses(timeout):
            await asyncio.sleep(pause)
            status = await asyncio.to_thread(self._client._look, batch_id, only_the_end=on_status is None)
            if status is not None and on_status is not None:
                on_status(status)
            if status is not None and status.is_complete():
                return check_end(status)
        raise BatchTimeoutError(batch_id, timeout or 0)

    async def manifest(self, batch_id: str) -> Manifest:
        """The books of a finished batch: its parts, their counts and hashes."""
        return await asyncio.to_thread(self._client.manifest, batch_id)

    async def results(
        self, batch_id: str, *, partial: bool = False, follow: bool = False
    ) -> AsyncIterator[UnifiedResult]:
        """The results of a batch in input order, one per request: `async for result in client.results(id)`.

        With `follow`, those of each shard as it ends. The wait between them can be cancelled.
        """
        if follow:
            async for line in self._follow(batch_id):
                yield decode_result(line)
            return
        async for result in _in_threads(lambda: self._client.results(batch_id, partial=partial)):
            yield result

    async def result_lines(self, batch_id: str, *, partial: bool = False, follow: bool = False) -> AsyncIterator[bytes]:
        """The same as JSON lines, each with its newline."""
        if follow:
            async for line in self._follow(batch_id):
                yield line
            return
        async for line in _in_threads(lambda: self._client.result_lines(batch_id, partial=partial)):
            yield line

    async def map(
        self, table: TableLike, prompt: str, provider: str, **options: Unpack[MapOptions]
    ) -> AsyncIterator[dict[str, object]]:
        """Ask about each row of a table: `async for row in client.map(...)`. The wait can be cancelled."""
        batch_id = await self.submit(provider, **self._client._asked(table, prompt, options))
        await self.wait(batch_id)
        async for row in self.join(batch_id, table):
            yield row

    async def join(
        self, batch_id: str, table: TableLike | None = None, *, partial: bool = False
    ) -> AsyncIterator[dict[str, object]]:
        """The results of a batch as columns: `async for row in client.join(id, table)`."""
        async for row in _in_threads(lambda: self._client.join(batch_id, table, partial=partial)):
            yield row

    async def verify(self, batch_id: str) -> Manifest:
        """Read all results of a finished batch, and compare them with its manifest; returns the manifest."""
        return await asyncio.to_thread(self._client.verify, batch_id)

    async def cancel(self, batch_id: str) -> bool:
        """Ask for a batch to end early; finished answers are kept. False if it has ended already."""
        return await asyncio.to_thread(self._client.cancel, batch_id)

    async def resolve(
        self, item_id: str, *, attach: str | None = None, recreate: bool = False, give_up: bool = False
    ) -> str:
        """Decide about a parked shard, or a batch with one; returns the shard's id."""
        return await asyncio.to_thread(self._client.resolve, item_id, attach=attach, recreate=recreate, give_up=give_up)

    async def resume(self, batch_id: str) -> Sequence[str]:
        """Have a batch go on that ended with a loss, once the cause is gone; returns the ids of what goes on."""
        return await asyncio.to_thread(self._client.resume, batch_id)

    async def retry(self, batch_id: str, *, undecided: bool = False) -> str:
        """Send the failed rows of a finished batch again, as a batch of their own; returns its id."""
        return await asyncio.to_thread(self._client.retry, batch_id, undecided=undecided)

    async def purge(self, batch_id: str, *, dry_run: bool = False) -> None:
        """Delete all that is kept of a batch that has ended: rows, results, state."""
        await asyncio.to_thread(self._client.purge, batch_id, dry_run=dry_run)

    async def purge_older(self, days: float, *, dry_run: bool = False) -> Sequence[str]:
        """Purge the batches that ended more than `days` days ago; returns their ids."""
        return await asyncio.to_thread(self._client.purge_older, days, dry_run=dry_run)

    async def quarantined(self, limit: int = 20) -> Sequence[Quarantined]:
        """Items that workers could not read and no longer look at, the newest first, each with the reason."""
        return await asyncio.to_thread(self._client.quarantined, limit)

    async def listeners(self, queue: str) -> Sequence[str]:
        """The workers that listen on a queue."""
        return await asyncio.to_thread(self._client.listeners, queue)

    async def _follow(self, batch_id: str) -> AsyncIterator[bytes]:
        new = await asyncio.to_thread(self._client._new_results, batch_id)
        for pause in pauses(None):
            await asyncio.sleep(pause)
            async for line in _in_threads(new.look):
                yield line
            if new.ended:
                return


async def _in_threads(begin: Callable[[], Iterator[_Item]]) -> AsyncIterator[_Item]:
    """What an iterator gives, read in threads, a block at a time."""
    items = await asyncio.to_thread(begin)
    while block := await asyncio.to_thread(lambda: [*islice(items, _BLOCK)]):
        for item in block:
            yield item
