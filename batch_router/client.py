"""What apps and the command line use: submit, status, wait, results, cancel, list."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Unpack

from .core import BatchStatus, BatchStatusResponse, Estimate, Manifest, UnifiedResult
from .core.responses import decode_result
from .exceptions import BatchTimeoutError
from .intake.mistakes import takes_provider
from .intake.options import MapOptions, SubmitOptions
from .operating import Operating
from .operations.estimate import estimate
from .operations.join import join
from .operations.listing import ids_of, list_batches, which_of
from .operations.results import (
    NewResults,
    listed_parts,
    parts_of,
    read_manifest,
    read_numbered,
    read_results,
)
from .operations.status import describe_batch
from .operations.submit import submit
from .operations.verify import verify
from .operations.waiting import check_end, pauses
from .tables.reading import TableLike
from .tables.rendering import ask_about


class BatchClient(Operating):
    """Batches of one store.

    Args:
        context: what to work with; by default what the environment says.

    Raises:
        StoreUnavailableError: there is no Redis, or it does not answer; any method may raise it.
    """

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

    @takes_provider
    def estimate(self, provider: str, **options: Unpack[SubmitOptions]) -> Estimate:
        """What a batch of these rows would take and cost; all rows are read, and nothing is sent or stored.

        Args:
            provider: as of `submit`.
            options: likewise.

        Raises:
            ValidationError: the batch would be refused; says what is wrong and what to do.
        """
        context = self._context
        kind = context.clients.provider(provider)
        return estimate(context.settings, context.storage, context.prices, kind, options)

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

    def _look(self, batch_id: str, *, only_the_end: bool) -> BatchStatusResponse | None:
        """The status; None if only the end is wanted, and the batch goes on: then its shards are not read."""
        batch = self._batch(batch_id)
        return None if only_the_end and not batch.state.is_final else describe_batch(self._context, batch)

    def _new_results(self, batch_id: str) -> NewResults:
        self._batch(batch_id)
        return NewResults(self._files(), batch_id)


def _follow(new: NewResults) -> Iterator[bytes]:
    for pause in pauses(None):
        time.sleep(pause)
        yield from new.look()
        if new.ended:
            return
