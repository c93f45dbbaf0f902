"""What an operator decides about batches: what was lost or is parked, what is kept, and what they may cost."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Self

from .core import CostSum
from .core.responses import decode_result
from .exceptions import BatchNotFoundError
from .operations import ledger
from .operations.costs import add_costs
from .operations.purge import check_ended, purge, purge_older
from .operations.resolve import resolve
from .operations.results import parts_of, read_results
from .operations.resume import resume
from .operations.retry import retry_failed
from .road.context import Context
from .road.storage_mark import check
from .settings import Settings
from .state.base import Quarantined
from .state.items import Batch


class Operating:
    """The batches of a store, as an operator has them: the part of `BatchClient` that apps rarely need.

    Args:
        context: what to work with; by default what the environment says.
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
        context, batch = self._files(), self._batch(batch_id)
        lines = read_results(context.storage, parts_of(context, batch, partial=False))
        return retry_failed(context, batch, map(decode_result, lines), undecided=undecided).id

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

    def costs(
        self, by: str | None = None, *, since: date | None = None, until: date | None = None
    ) -> Sequence[CostSum]:
        """What the batches cost that have ended, those included that were purged.

        Args:
            by: a sum for each "day", "model", "provider", "credential" or "metadata.KEY"; None: one for all.
            since: the first day of their submission (UTC).
            until: the last one.

        Raises:
            ValidationError: there are no such groups.
        """
        return add_costs(self._files().storage, by, since, until)

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
