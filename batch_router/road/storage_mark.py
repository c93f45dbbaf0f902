"""Which storage a store's payloads lie in: known by a mark that lies in both, not by its path.

A mark is a random name of an object in storage. Two processes that meet a new storage may make one each: both marks are
the storage's, and the store remembers one of them. A storage that moves keeps its marks, and so does a copy of it; a
volume that is not mounted has none.
"""

import secrets

from ..exceptions import FileMissingError, ValidationError
from ..state.base import Binding
from ..state.items import Batch
from ..storage import Storage
from .context import Context

_FOLDER = "storage-marks"


def bind(context: Context) -> None:
    """Make sure, for a worker, that the payloads of its store are in its storage; the first one decides where.

    Raises:
        ValidationError: they are in another one; says what to do.
        FileOperationError: the storage cannot be read or written.
        StoreUnavailableError: the store cannot be asked.
    """
    if not _marks(context.storage):  # it may be new, or a volume that is not mounted
        check(context)
    _check(context, context.store.bind_storage(_ours(context)))


def bind_here(context: Context) -> Binding:
    """Bind the store to this storage, wherever its payloads were; returns how it is bound now."""
    return context.store.bind_storage(_ours(context), again=True)


def check(context: Context) -> None:
    """Make sure, for a client, that what it reads or writes is where the store's workers look; it decides nothing.

    Raises:
        ValidationError: as above.
    """
    bound = context.store.bound_storage()
    if bound is not None:
        _check(context, bound)


def mark_for_batch(context: Context) -> str:
    """The mark that a new batch remembers: of the store's storage, or of this one where no worker has decided yet.

    Raises:
        ValidationError: as above.
    """
    bound = context.store.bound_storage()
    if bound is None:
        return _ours(context).mark
    _check(context, bound)
    return bound.mark


def check_rows(context: Context, batch: Batch) -> None:
    """Make sure that a batch's rows are here.

    Raises:
        ValidationError: they were submitted into another storage, before a worker decided for this one.
    """
    if batch.storage is None or batch.storage in _marks(context.storage):
        return
    try:
        context.storage.size(batch.input.stored)
    except FileMissingError:
        raise ValidationError(
            f"its rows lie in another storage (mark {batch.storage[:8]}): it was submitted with another"
            " BATCH_ROUTER_HOME than the workers have; submit it again with theirs"
        ) from None


def _check(context: Context, bound: Binding) -> None:
    if bound.mark in _marks(context.storage):
        return
    here = context.storage.address
    is_mount = bound.address == here
    hint = "is the volume mounted? Mount it" if is_mount else "set BATCH_ROUTER_HOME to it"
    raise ValidationError(
        f"this store keeps its payloads in {bound.address}, and {'what is there now' if is_mount else here} is another"
        f" storage: {hint}, use another database, or have the store use this storage from now on:"
        " batch-router storage --move"
    )


def _marks(storage: Storage) -> frozenset[str]:
    return frozenset(found.name.rpartition("/")[2] for found in storage.list(_FOLDER))


def _ours(context: Context) -> Binding:
    """This storage; it gets a mark if it has none."""
    marks = _marks(context.storage) or {_new_mark(context.storage)}
    return Binding(min(marks), context.storage.address)


def _new_mark(storage: Storage) -> str:
    mark = secrets.token_hex(16)
    with storage.write(f"{_FOLDER}/{mark}") as stream:
        stream.write(b"This storage is known by the name of this file: see docs/architecture.md.\n")
    return mark
