"""Forgetting a batch: its payloads, then its state."""

from ..exceptions import ValidationError
from ..road.accepted import unmark
from ..road.context import Context
from ..security.paths import batch_folder
from ..state.items import Batch


def purge(context: Context, batch: Batch) -> None:
    """Delete what is kept of a batch that has ended. An input file that was given by its path is the user's, and stays.

    The state goes last: an interrupted purge can be repeated.

    Raises:
        ValidationError: the batch has not ended.
        FileOperationError: its files cannot be deleted.
    """
    if not batch.state.is_final:
        raise ValidationError(f"{batch.id} has not ended; `batch-router cancel {batch.id}` ends it")
    unmark(context, batch)
    context.storage.delete_all(batch_folder(batch.provider, batch.id))
    context.store.delete(batch.id)
