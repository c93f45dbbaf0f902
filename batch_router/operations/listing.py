"""Which batches there are: found in the store's lists, so that only those that are shown are read."""

from ..core import BatchStatus, BatchStatusResponse
from ..exceptions import ValidationError
from ..road.context import Context
from ..security.names import BATCH_ID
from ..state.base import Which
from ..state.checks import passed_over
from .status import describe_batch


def list_batches(context: Context, which: Which, limit: int) -> list[BatchStatusResponse]:
    """The newest batches first; those that cannot be read are left out, and a warning names them.

    Raises:
        ValidationError: the prefix is none of an id, or the limit is none.
    """
    if limit < 0:
        raise ValidationError("limit must not be negative")
    if which.prefix and not BATCH_ID.fullmatch(which.prefix):
        raise ValidationError(f"prefix {which.prefix[:80]!r} begins no id: ids have letters, digits, _ and -")
    found: list[BatchStatusResponse] = []
    batches = context.store.iter_batches(_listed(which)) if limit else iter(())
    for batch in batches:
        if which.provider in (None, batch.provider):
            with passed_over():
                status = describe_batch(context, batch)
                found += [status] if which.status in (None, status.status) else []
        if len(found) == limit:
            break
    return found


def read_status(status: BatchStatus | str | None) -> BatchStatus | None:
    """A status by its word.

    Raises:
        ValidationError: there is none of that word.
    """
    if status is None or status in list(BatchStatus):
        return None if status is None else BatchStatus(status)
    raise ValidationError(f"status {status[:80]!r} is none of {', '.join(BatchStatus)}")


def _listed(which: Which) -> Which:
    """What is validated is listed as queued."""
    return which._replace(status=BatchStatus.QUEUED) if which.status is BatchStatus.VALIDATING else which
