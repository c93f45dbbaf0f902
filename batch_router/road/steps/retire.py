"""What is kept of a batch that has ended: at first all, then what answers for its id and its idempotency key."""

from ...state.items import Batch
from ..context import Context
from ..deadline import kept_for
from ..notices import notices_of
from ..outcome import BatchOutcome, batch_to
from ..payloads import erase
from ..step import Step


def retire(context: Context, batch: Batch) -> BatchOutcome:
    """Let go of what was kept long enough, and go on with a purge that its caller did not finish."""
    if batch.purging:
        erase(context, batch)
        context.store.delete(batch)
        return batch_to(batch.state, None)  # of nothing: the batch is gone
    settings, now = context.settings, context.store.now()
    age = now - (batch.ended_at or batch.updated_at)
    is_old = age >= settings.keep_shards
    is_erased = batch.erased
    if settings.keep_payloads is not None and age >= settings.keep_payloads and not is_erased:
        erase(context, batch)
        is_erased = True
    return batch_to(
        batch.state,
        kept_for(settings, age),
        notices=() if batch.notified else notices_of(batch),  # it gave up, or the store that knew of them forgot it
        forget=is_old,
        retired=is_old,
        erased=is_erased,
        notified=True,
    )


STEP = Step(retire)
