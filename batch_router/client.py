"""What apps and the command line use: submit, status, wait, results, cancel, list."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Self, Unpack

from .core import BatchStatus, BatchStatusResponse, Manifest, UnifiedResult
from .core.responses import decode_result
from .exceptions import BatchNotFoundError, BatchTimeoutError
from .intake.mistakes import takes_provider
from .intake.options import MapOptions, SubmitOptions
from .operations import ledger
from .operations.join import join
from .operations.listing import ids_of, list_batches, which_of
from .operations.purge import check_ended, purge, purge_older
from .operations.resolve import resolve
from .operations.results import (
    NewResults,
    listed_parts,
    parts_of,
    read_manifest,
    read_numbered,
    read_results,
)
from .operations.resume import resume
from .operations.retry import retry_failed
from .operations.status import describe_batch
from .operations.submit import submit
from .operations.verify import verify
from .operations.waiting import check_end, pauses
from .road.context import Context
from .road.storage_mark import check
from .settings import Settings
from .state.base import Quarantined
from .state.items import Batch
from .tables.reading import TableLike
from .tables.rendering import ask_about


class BatchClient:
    """Batches of one store.

    Args:
        context: what to work with; by default what the environment says.

    Raises:
        StoreUnavailableError: there is no Redis, or it does not answer; any method may raise it.
    """

    def __init__(self, context: Context | None = None) -> None:
        self._context = context or _open_context()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._context.close()

    @takes_provider
    def submit(self, provider: str, **options: Unpack[SubmitOptions]) -> str:
        """Put a batch into the store; the workers' sweep takes it up within a second or so.

        `batch_router.worker.submit_batch.delay` takes the same arguments and sends a message besides, which is faster.

        Args:
            provider: whose API the requests go to: "openai", "anthropic", "google", "vllm" or one of your own.
            options: the rows (`requests` or `input`) and what concerns all of them: see `SubmitOptions`.

        Returns:
            The batch id.

        Raises:
            ValidationError: says what is wrong and what to do; nothing was stored.
        """
        return submit(self._context, provider, options).id

    def status(self, batch_id: str) -> BatchStatusResponse:
        """How a batch stands.

        Raises:
            BatchNotFoundError: there is none of that id.
            CorruptItemError: what the store holds of it is not batch_router's; any method may raise it.
        """
        return describe_batch(self._context, self._batch(batch_id))

    def list(
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
        """The newest batches first. What cannot be read is left out, with a warning on the log.

        Args:
            limit: at most so many.
            provider: only this one's.
            status: only those in this status, as in `BatchStatus`.
            prefix: only those whose ids begin with it.
            since: only those that were submitted at this time or later; without a time zone it is local time.
            before: only those that follow this batch in the list: the last id of a page gives the next one.
            metadata: only those with all of these notes. Of those that fit otherwise, the newest 10,000 are looked at;
                a warning on the log says so where there are more.

        Raises:
            BatchNotFoundError: there is no batch `before`.
            ValidationError: there is no such status, or the prefix begins no id.
        """
        last = None if before is None else self._batch(before)
        which = which_of(provider=provider, status=status, prefix=prefix, since=since, last=last)
        return list_batches(self._context, which, limit, metadata)

    def ids(self, prefix: str = "", limit: int = 20) -> Sequence[str]:
        """The ids that begin like this, of the newest batches first; one that is exactly it comes before all others."""
        return ids_of(self._context, prefix, limit)

    def wait(
        self,
        batch_id: str,
        timeout: float | None = None,
        on_status: Callable[[BatchStatusResponse], None] | None = None,
    ) -> BatchStatusResponse:
        """Wait until a batch has ended.

        Args:
            batch_id: which.
            timeout: seconds; None: for ever. The batch goes on when it is over.
            on_status: is called with each status on the way.

        Raises:
            BatchTimeoutError: it had not ended after `timeout`.
            BatchExpiredError: it was cancelled when its own `timeout` was over; what was answered is there.
            BatchFailedError: it ended without a single answer.
        """
        for pause in pauses(timeout):
            time.sleep(pause)
            status = self._look(batch_id, only_the_end=on_status is None)
            if status is not None and on_status is not None:
                on_status(status)
            if status is not None and status.is_complete():
                return check_end(status)
        raise BatchTimeoutError(batch_id, timeout or 0)

    def manifest(self, batch_id: str) -> Manifest:
        """The books of a finished batch: its parts, their counts and hashes.

        Raises:
            BatchNotFinishedError: there is no manifest yet.
        """
        return read_manifest(self._files(), self._batch(batch_id))

    def results(self, batch_id: str, *, partial: bool = False, follow: bool = False) -> Iterator[UnifiedResult]:
        """The results of a batch in input order, one per request, streamed.

        Args:
            batch_id: which.
            partial: before the end, too: the results of the shards that have ended by now.
            follow: until the end: the results of each shard as it ends, each row once. The order is that in which the
                shards end; within one, it is that of the input.

        Raises:
            BatchNotFinishedError: it has not ended, and neither is set.
        """
        return (decode_result(line) for line in self.result_lines(batch_id, partial=partial, follow=follow))

    def result_lines(self, batch_id: str, *, partial: bool = False, follow: bool = False) -> Iterator[bytes]:
        """The same as JSON lines, each with its newline."""
        if follow:
            return _follow(self._new_results(batch_id))
        context, batch = self._files(), self._batch(batch_id)
        return read_results(context.storage, parts_of(context, batch, partial=partial))

    def map(
        self, table: TableLike, prompt: str, provider: str, **options: Unpack[MapOptions]
    ) -> Iterator[dict[str, object]]:
        """Ask about each row of a table, wait for the end, and give the rows back with the columns of their answers.

        Args:
            table: mappings of column names to values, or the path of a CSV, TSV or JSONL file (also gzip of them).
            prompt: of each row, with names of columns in braces: `"Classify: {text}"`; `{{` and `}}` are braces.
            provider: whose API the requests go to.
            options: see `MapOptions`. With a `batch_id` or an `idempotency_key`, `join` finds the batch again.

        Returns:
            The rows in their order, one by one, with the columns that `join` adds.

        Raises:
            ValidationError: says what is wrong and what to do; nothing was stored.
            BatchExpiredError: the batch was cancelled when its own `timeout` was over.
            BatchFailedError: it ended without a single answer.
        """
        batch_id = self.submit(provider, **self._asked(table, prompt, options))
        self.wait(batch_id)
        return self.join(batch_id, table)

    def join(
        self, batch_id: str, table: TableLike | None = None, *, partial: bool = False
    ) -> Iterator[dict[str, object]]:
        """The results of a batch as columns.

        They are one for each property of its `output_schema`, then `text`, `status`, `error`, `input_tokens`,
        `output_tokens` and `cost`. A name that the table has already gets `answer_` in front.

        Args:
            batch_id: which.
            table: the rows that it was made of; without it, each row begins with its `custom_id`.
            partial: before the end, too; the columns of rows without a result are None.

        Raises:
            BatchNotFinishedError: it has not ended, and `partial` is not set.
            ValidationError: it is another table; also while the rows are read.
        """
        context, batch = self._files(), self._batch(batch_id)
        parts = parts_of(context, batch, partial=partial)
        lines = read_numbered(context.storage, parts)
        results = ((row, decode_result(line), parts[part].price) for row, part, line in lines)
        return join(context, batch, results, table)

    def _asked(self, table: TableLike, prompt: str, options: MapOptions) -> SubmitOptions:
        return ask_about(table, prompt, options, self._context.settings)

    def verify(self, batch_id: str) -> Manifest:
        """Read all results of a finished batch, and compare them with its manifest; returns the manifest.

        Raises:
            BatchNotFinishedError: there is no manifest yet.
            UnbalancedError: bytes, counts or rows differ, or there is not one result for each request; says where.
        """
        manifest = self.manifest(batch_id)
        listed_parts(self._batch(batch_id), manifest)
        verify(self._context.storage, manifest)
        return manifest

    def cancel(self, batch_id: str) -> bool:
        """Ask for a batch to end early; finished answers are kept. False if it has ended already."""
        self._batch(batch_id)
        return self._context.store.cancel(batch_id)

    def resolve(self, item_id: str, *, attach: str | None = None, recreate: bool = False, give_up: bool = False) -> str:
        """Decide about a parked shard, or a batch with one; returns the shard's id.

        Args:
            item_id: the shard, or its batch if only one of its shards is parked.
            attach: the provider's id of the job that the shard owns.
            recreate: the provider has no such job: create it. If it has one after all, its rows are paid for twice.
            give_up: its rows without an answer end as `undecided`. A job of it may have been paid for.

        Raises:
            BatchNotFoundError: there is no such batch or shard.
            ValidationError: it is not parked, or not exactly one decision was given.
            ProviderAPIError: the job cannot be looked up.
        """
        return resolve(self._context, item_id, attach=attach, recreate=recreate, give_up=give_up).id

    def resume(self, batch_id: str) -> Sequence[str]:
        """Have a batch go on that ended with a loss, once the cause is gone; returns the ids of the items that go on.

        What went wrong is repeated: rows are cut, a job is looked for and asked, answers are fetched, results written.
        Nothing is created that may have been created before. Results that were read stay where they are until a new
        manifest takes their place.

        Raises:
            ValidationError: the batch has lost nothing that could be taken up, or it has not ended; says what helps.
        """
        return resume(self._context, self._batch(batch_id))

    def retry(self, batch_id: str, *, undecided: bool = False) -> str:
        """Send the failed rows of a finished batch again, as a batch of their own; returns its id.

        Args:
            batch_id: which.
            undecided: also where rows may be answered and paid for, and nothing tells.

        Raises:
            BatchNotFinishedError: the batch has not ended.
            ValidationError: no row failed, they were sent again before, or some are undecided.
        """
        batch = self._batch(batch_id)
        return retry_failed(self._files(), batch, self.results(batch_id), undecided=undecided).id

    def purge(self, batch_id: str, *, dry_run: bool = False) -> None:
        """Delete what is kept of a batch that has ended: rows, results, state. The record of what it cost stays.

        Args:
            batch_id: which.
            dry_run: only check that it has ended.

        Raises:
            ValidationError: it has not ended, or it changed just now.
        """
        batch = self._batch(batch_id)
        check_ended(batch)
        if not dry_run:
            purge(self._files(), batch)

    def purge_older(self, days: float, *, dry_run: bool = False) -> Sequence[str]:
        """Purge the batches that ended more than `days` days ago; returns their ids.

        Args:
            days: 0 or more.
            dry_run: purge nothing, and return the ids.

        Raises:
            ValidationError: `days` is negative, or no number of days.
        """
        return purge_older(self._files(), days, dry_run=dry_run)

    def budgets(self) -> Sequence[ledger.Budget]:
        """What scopes may cost, and what they have cost since they were given a budget."""
        return ledger.budgets(self._context)

    def set_budget(self, scope: str, dollars: Decimal | None) -> str:
        """Give a scope a budget, or take it away (None); what waits for it goes on as far as it reaches.

        Args:
            scope: the id of a batch, or `credential=NAME`, `provider=NAME`, `metadata.KEY=VALUE`.
            dollars: what may be spent from when the scope was first given a budget on.

        Raises:
            ValidationError: it is no scope, or no sum of money.
        """
        return ledger.set_budget(self._context, scope, dollars)

    def limits(self) -> Sequence[ledger.Limit]:
        """How many tokens and jobs may wait or run at once: as set, or as learned from a provider's refusal."""
        return ledger.limits(self._context)

    def set_limit(
        self, provider: str, model: str, *, tokens: int | None, jobs: int | None, credential: str | None = None
    ) -> None:
        """Limit what waits or runs for an account and a model; None: no limit, also none that was learned."""
        ledger.set_limit(self._context, provider, model, tokens=tokens, jobs=jobs, credential=credential)

    def pause(self, scope: str) -> str:
        """Create no further jobs in a scope (see `set_budget`); jobs that there are go on. Returns the scope."""
        return ledger.pause(self._context, scope)

    def unpause(self, scope: str) -> str:
        """Create jobs in a scope again; returns the scope."""
        return ledger.unpause(self._context, scope)

    def quarantined(self, limit: int = 20) -> Sequence[Quarantined]:
        """Items that workers could not read and no longer look at, the newest first, each with the reason."""
        return self._context.store.quarantined(limit)

    def listeners(self, queue: str) -> Sequence[str]:
        """The workers that listen on a queue."""
        return self._context.store.listeners(queue)

    def _look(self, batch_id: str, *, only_the_end: bool) -> BatchStatusResponse | None:
        """The status; None if only the end is wanted, and the batch goes on: then its shards are not read."""
        batch = self._batch(batch_id)
        return None if only_the_end and not batch.state.is_final else describe_batch(self._context, batch)

    def _new_results(self, batch_id: str) -> NewResults:
        self._batch(batch_id)
        return NewResults(self._files(), batch_id)

    def _files(self) -> Context:
        """The context of a call that reads or writes files: they are where the store's workers look.

        Raises:
            ValidationError: they are not; says what to do.
        """
        check(self._context)
        return self._context

    def _batch(self, batch_id: str) -> Batch:
        batch = self._context.store.get_batch(batch_id)
        if batch is None:
            raise BatchNotFoundError(batch_id)
        return batch


def _open_context() -> Context:
    from .connect import open_context  # with Redis' client, which takes as long to import as all else

    return open_context(Settings.from_env())


def _follow(new: NewResults) -> Iterator[bytes]:
    for pause in pauses(None):
        time.sleep(pause)
        yield from new.look()
        if new.ended:
            return
