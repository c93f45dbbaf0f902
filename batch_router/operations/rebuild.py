"""Batches that the store forgot, found again by their marks in storage."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from ..exceptions import BatchRouterError, ValidationError
from ..road.accepted import Mark, adopt, mark_of, marks, restore
from ..road.context import Context
from ..security.logs import get_logger
from ..security.paths import FOLDERS

log = get_logger(__name__)

_AT_ONCE = 1000
_SUBMISSION = "-submission.json"


def find_again(context: Context) -> int:
    """Restore the batches that this very store took and does not know; how many they are.

    An older copy of the store lacks them. Other stores' batches in the same storage are left alone.
    """
    own = context.store.name()
    return sum(_restore(context, each) for each in _forgotten(context) if each.store == own)


class Rebuilt(NamedTuple):
    """Attributes: `restored`, the ids of the batches; `never_accepted`, submissions that no store took, by name."""

    restored: list[str]
    never_accepted: list[str]


def rebuild(context: Context, store: str | None = None, *, into_others: bool = False) -> Rebuilt:
    """Restore all batches of a store that is lost into an empty one.

    A second call restores what one that was interrupted left: batches of the lost store, and those that it had adopted.

    Args:
        context: the operator's.
        store: the name of the lost store, where storage has marks of several.
        into_others: even though the store has batches.

    Raises:
        ValidationError: the store has batches, or storage has marks of several stores and none was named.
    """
    if not into_others and next(context.store.iter_batches(), None) is not None:
        raise ValidationError(
            "this store is not empty: --yes adds the batches that it lacks, and no other store may still work on them"
        )
    own, forgotten = context.store.name(), list(_forgotten(context))
    lost = _choose(forgotten, own, store)
    ours = [each for each in forgotten if each.store in (own, lost)]
    restored = [each for each in ours if _restore(context, adopt(context, each))]
    return Rebuilt([each.batch_id for each in restored], sorted(_never_accepted(context)))


def _choose(forgotten: list[Mark], own: str, store: str | None) -> str | None:
    others = Counter(each.store for each in forgotten if each.store != own)
    if store is None and len(others) > 1:
        found = ", ".join(f"{name} ({count} batches)" for name, count in others.most_common(10))
        raise ValidationError(f"the storage has batches of {len(others)} stores: name one with --store: {found}")
    if store is not None and store not in {each.store for each in forgotten}:
        raise ValidationError(f"--store: the storage has no batch of {store!r} that this store lacks")
    return store or next(iter(others), None)


def _forgotten(context: Context) -> Iterator[Mark]:
    """The marks of batches that the store does not know."""
    ids = marks(context.storage)
    while some := list(islice(ids, _AT_ONCE)):
        for batch_id in context.store.unknown(some):
            try:
                found = mark_of(context.storage, batch_id)
            except BatchRouterError as error:
                log.warning("action=mark_unreadable batch=%s error=%s", batch_id, error)
                continue
            if found is not None:  # else purged meanwhile
                yield found


def _restore(context: Context, found: Mark) -> bool:
    try:
        return restore(context, found)
    except BatchRouterError as error:  # the others go on; this one is tried again at the next start
        log.warning("action=restore_failed batch=%s error=%s", found.batch_id, error)
        return False


def _never_accepted(context: Context) -> Iterator[str]:
    for found in context.storage.list(FOLDERS):
        if found.name.endswith(_SUBMISSION):
            batch_id = found.name.split("/")[2]
            known = mark_of(context.storage, batch_id)
            if known is None or known.submission != found.name:
                yield found.name
