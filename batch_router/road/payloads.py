"""Deleting the payloads of one batch, and of no other one that has, had or will have its id."""

import re
import time

from ..security.paths import batch_folder
from ..state.items import AnyItem, Batch, batch_id_of
from ..storage import StoredObject
from .accepted import mark_of, unmark
from .context import Context
from .layout import claim_of

# The objects of a submission that may be under way: its caller has stored them, and the store does not know them yet.
_SUBMITTED = re.compile(r"/[0-9a-f]{8}-(?:input\.jsonl|submission\.json)$")
_UNDER_WAY = 86_400.0


def erase(context: Context, batch: Batch) -> None:
    """Delete the payloads of a batch that has ended, unless it is no longer in the store.

    What is in its folder while the store has the batch is the batch's, or that of a submission under way. Labels, which
    name the folders of shards, are those of one batch alone.

    Raises:
        FileOperationError: not all could be deleted.
    """
    folder = batch_folder(batch.provider, batch.id)
    found = [each for each in context.storage.list(folder) if not _is_under_way(each, batch)]
    current = context.store.get_batch(batch.id)
    if current is None or current.created_at != batch.created_at:
        return
    unmark(context, batch)
    below = [each.name.removeprefix(f"{folder}/").split("/") for each in found]
    for label in sorted({first for first, *rest in below if rest}):
        context.storage.delete_all(f"{folder}/{label}")
    for name in sorted(first for first, *rest in below if not rest):
        context.storage.delete(f"{folder}/{name}")


def erase_late(context: Context, item: AnyItem) -> None:
    """Delete what a claim wrote that was lost, if the batch was purged since: neither the store nor a mark has it.

    Raises:
        FileOperationError: not all could be deleted.
    """
    batch_id = batch_id_of(item.id)
    if context.store.get_batch(batch_id) is None and mark_of(context.storage, batch_id) is None:
        for each in list(context.storage.list(batch_folder(item.provider, batch_id))):
            if claim_of(item) in each.name:
                context.storage.delete(each.name)


def _is_under_way(found: StoredObject, batch: Batch) -> bool:
    is_young = found.modified_at > time.time() - _UNDER_WAY
    return is_young and found.name not in (batch.submission, batch.input.stored) and bool(_SUBMITTED.search(found.name))
