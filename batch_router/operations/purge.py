"""Forgetting a batch: its payloads, then its state."""

import secrets

from ..exceptions import ValidationError
from ..road.context import Context
from ..road.payloads import erase
from ..state.base import Commit
from ..state.items import Batch, BatchFacts

# Seconds after which a worker ends a purge whose caller fell silent.
_ENDED_AFTER = 600.0


def purge(context: Context, batch: Batch) -> None:
    """Delete what is kept of a batch that has ended. An input file that was given by its path is the user's, and stays.

    The state says first that it is purged, so that nothing else begins with the batch, and goes last. An interrupted
    purge can be repeated, and a worker goes on with it.

    Raises:
        ValidationError: the batch has not ended, or it changed just now.
        FileOperationError: its files cannot be deleted.
    """
    if not batch.state.is_final:
        raise ValidationError(f"{batch.id} has not ended; `batch-router cancel {batch.id}` ends it")
    if not batch.purging:
        commit = Commit(batch.state, _ENDED_AFTER, BatchFacts(purging=True))
        if context.store.decide(batch, commit, holder=f"{context.worker}/{secrets.token_hex(4)}") is None:
            raise ValidationError(f"{batch.id} has changed just now; look at `batch-router status {batch.id}`")
    erase(context, batch)
    context.store.delete(batch)
