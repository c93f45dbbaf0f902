"""Which batches there are: found in the store's lists, so that only those that are shown are read."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from ..core import BatchStatus, BatchStatusResponse
from ..exceptions import ValidationError
from ..road.context import Context
from ..security.logs import get_logger
from ..security.names import BATCH_ID
from ..state.base import Place, Which
from ..state.checks import passed_over
from ..state.items import Batch
from .status import describe_batch

# Batches that are looked at for their notes: no index has these.
_MOST_LOOKED_AT = 10_000

log = get_logger(__name__)


def list_batches(
    context: Context, which: Which, limit: int, metadata: Mapping[str, str] | None = None
) -> list[BatchStatusResponse]:
    """The newest batches first; those that cannot be read are left out, and a warning names them.

    Only the newest 10,000 of them are compared with `metadata`; a warning says so where there are more.

    Raises:
        ValidationError: the prefix is none of an id, or the limit is none.
    """
    if limit < 0:
        raise ValidationError("limit must not be negative")
    if which.prefix and not BATCH_ID.fullmatch(which.prefix):
        raise ValidationError(f"prefix {which.prefix[:80]!r} begins no id: ids have letters, digits, _ and -")
    found: list[BatchStatusResponse] = []
    batches = context.store.iter_batches(_listed(which)) if limit else iter(())
    for number, batch in enumerate(batches):
        if metadata and number == _MOST_LOOKED_AT:
            log.warning("action=list_ended looked_at=%s last=%s: --before goes on there", number, batch.id)
            break
        if which.provider in (None, batch.provider) and _has(batch, metadata or {}):
            with passed_over():
                status = describe_batch(context, batch)
                found += [status] if which.status in (None, status.status) else []
        if len(found) == limit:
            break
    return found


def ids_of(context: Context, prefix: str, limit: int) -> list[str]:
    """The ids that begin so, of the newest batches first; one that is exactly it comes before all others."""
    if prefix and not BATCH_ID.fullmatch(prefix):
        return []
    exact = [prefix] if prefix and not context.store.unknown([prefix]) else []
    others = (batch.id for batch in context.store.iter_batches(Which(prefix=prefix)) if batch.id != prefix)
    return [*exact, *islice(others, max(0, limit - len(exact)))]


def _has(batch: Batch, metadata: Mapping[str, str]) -> bool:
    return metadata.items() <= batch.metadata.items()


def which_of(
    *, provider: str | None, status: BatchStatus | str | None, prefix: str, since: datetime | None, last: Batch | None
) -> Which:
    """The batches that a caller asks for; `last` is the one that they follow.

    Raises:
        ValidationError: there is no such status.
    """
    began = 0 if since is None else max(0, since.timestamp())
    before = None if last is None else Place(last.created_at, last.id)
    return Which(provider, _read_status(status), prefix, since=began, before=before)


def _read_status(status: BatchStatus | str | None) -> BatchStatus | None:
    if status is None or status in list(BatchStatus):
        return None if status is None else BatchStatus(status)
    raise ValidationError(f"status {status[:80]!r} is none of {', '.join(BatchStatus)}")


def _listed(which: Which) -> Which:
    """What is validated is listed as queued."""
    return which._replace(status=BatchStatus.QUEUED) if which.status is BatchStatus.VALIDATING else which
