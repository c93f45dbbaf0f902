"""The failed rows of a finished batch, as a batch of their own."""

from collections.abc import Iterable, Iterator

import msgspec

from ..bounds import Bounds
from ..core import UnifiedResult
from ..exceptions import ValidationError
from ..intake.options import Options, Rows
from ..intake.problems import Problems
from ..intake.rows import RowReader
from ..jsonl import read_lines
from ..road.context import Context
from ..road.records import read_record
from ..road.submission import Submission
from ..state.base import Hint
from ..state.items import Batch
from .submit import submit_rows


def retry_failed(context: Context, batch: Batch, results: Iterable[UnifiedResult]) -> Hint:
    """Submit the rows of a finished batch that have no answer.

    The new batch's id is that of the old one with `-retry`, so that the same rows are not paid for twice by mistake.

    Raises:
        ValidationError: no row failed, or they were sent again before.
    """
    failed = {result.custom_id for result in results if not result.is_successful()}
    if not failed:
        raise ValidationError(f"every row of {batch.id} was answered: there is nothing to send again")
    batch_id = f"{batch.id[:58]}-retry"  # an id has at most 64 characters
    if context.store.get_batch(batch_id) is not None:
        raise ValidationError(f"the failed rows of {batch.id} were sent again before, as {batch_id}; retry that one")
    options = read_record(context.storage, batch.id, batch.submission, Submission).options
    again = msgspec.structs.replace(options, batch_id=batch_id, idempotency_key=None)
    return submit_rows(context, batch.provider, Rows(requests=_requests(context, batch, options, failed)), again)


def _requests(context: Context, batch: Batch, options: Options, wanted: set[str]) -> Iterator[msgspec.Raw]:
    """The rows' own lines, as they were submitted."""
    bounds = context.settings.of(Bounds)
    native = context.clients.provider(batch.provider).native
    missing = set(wanted)
    with context.storage.open(batch.input.stored) as lines, context.storage.open(batch.input.stored) as stream:
        numbered = enumerate(read_lines(lines, bounds.max_row_bytes), 1)
        reader = RowReader(native, options, Problems(), bounds)
        for number, row in reader.read(read_lines(stream, bounds.max_row_bytes)):
            if row.custom_id in wanted:
                missing.discard(row.custom_id)
                line = next(line for each, line in numbered if each == number)
                assert isinstance(line, bytes)  # it was read as a row
                yield msgspec.Raw(line.strip())
    if missing:
        raise ValidationError(f"{len(missing)} of the rows are no longer in the storage; submit them yourself")
