"""The failed rows of a finished batch, as a batch of their own."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from ..core import UnifiedRequest, UnifiedResult
from ..exceptions import ValidationError
from ..intake.options import Options, Rows
from ..intake.problems import Problems
from ..intake.rows import read_rows
from ..jsonl import hash_stream, read_lines
from ..road.context import Context
from ..road.input import open_input
from ..road.records import read_record
from ..state.base import Hint
from ..state.items import Batch
from .submit import submit_rows


def retry_failed(context: Context, batch: Batch, results: Iterable[UnifiedResult]) -> Hint:
    """Submit the rows of a finished batch that have no answer.

    The new batch's id is that of the old one with `-retry`, so that the same rows are not paid for twice by mistake.

    Raises:
        ValidationError: no row failed, they were sent again before, or the input file changed or is missing.
    """
    failed = {result.custom_id for result in results if not result.is_successful()}
    if not failed:
        raise ValidationError(f"every row of {batch.id} was answered: there is nothing to send again")
    batch_id = f"{batch.id[:58]}-retry"  # an id has at most 64 characters
    if context.store.get_batch(batch_id) is not None:
        raise ValidationError(f"the failed rows of {batch.id} were sent again before, as {batch_id}; retry that one")
    with open_input(context.storage, batch.input) as stream:
        unchanged = hash_stream(stream) == batch.input.hash
    if not unchanged:
        source = batch.input.path or batch.input.stored
        raise ValidationError(f"{source} changed after it was submitted; send the rows that you want again yourself")
    options = read_record(context.storage, batch.id, batch.submission, Options)
    again = msgspec.structs.replace(options, batch_id=batch_id, idempotency_key=None)
    rows = Rows(requests=_requests(open_input(context.storage, batch.input), options, failed))
    return submit_rows(context, batch.provider, rows, again)


def _requests(stream: BinaryIO, options: Options, wanted: set[str]) -> Iterator[UnifiedRequest]:
    with stream:
        for _, request in read_rows(read_lines(stream), options, Problems()):
            if request.custom_id in wanted:
                yield request
