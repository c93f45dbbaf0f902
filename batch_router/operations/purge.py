"""Forgetting a batch: its payloads, then its state."""

import secrets
from collections.abc import Sequence
from contextlib import suppress

from ..exceptions import ValidationError
from ..road.context import Context
from ..road.payloads import erase
from ..state.base import Commit
from ..state.checks import passed_over
from ..state.facts import BatchFacts
from ..state.items import Batch

# Seconds after which a worker ends a purge whose caller fell silent.
_ENDED_AFTER = 600.0
_LONGEST_AGO = 36_500  # days


def purge(context: Context, batch: Batch) -> None:
    """Delete what is kept of a batch that has ended. An input file that was given by its path is the user's, and stays.

    The state says first that it is purged, so that nothing else begins with the batch, and goes last. An interrupted
    purge can be repeated, and a worker goes on with it.

    Raises:
        ValidationError: the batch has not ended, or it changed just now.
        FileOperationError: its files cannot be deleted.
    """
    check_ended(batch)
    if not batch.purging:
        commit = Commit(batch.state, _ENDED_AFTER, BatchFacts(purging=True))
        if context.store.decide(batch, commit, holder=f"{context.worker}/{secrets.token_hex(4)}") is None:
            raise ValidationError(f"{batch.id} has changed just now; look at `batch-router status {batch.id}`")
    erase(context, batch)
    context.store.delete(batch)


def purge_older(context: Context, days: float, *, dry_run: bool) -> Sequence[str]:
    """Purge the batches that ended more than `days` days ago, or with `dry_run` none; returns their ids.

    Raises:
        ValidationError: `days` is negative, or no number of days.
    """
    if not 0 <= days < _LONGEST_AGO:
        raise ValidationError(f"older than {days:g} days: give a number of days from 0 to {_LONGEST_AGO}")
    purged: list[str] = []
    for batch in context.store.iter_ended(context.store.now() - days * 86400):
        with passed_over(), suppress(ValidationError):  # one that was taken up just now stays
            if not dry_run:
                purge(context, batch)
            purged.append(batch.id)
    return purged


def check_ended(batch: Batch) -> None:
    """Refuse a batch that has not ended.

    Raises:
        ValidationError: it has not; says what ends it.
    """
    if not batch.state.is_final:
        raise ValidationError(f"{batch.id} has not ended; `batch-router cancel {batch.id}` ends it")
