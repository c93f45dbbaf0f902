"""The failed rows of a finished batch, as a batch of their own."""

import secrets
from collections.abc import Iterable, Iterator, Set
from functools import partial

import msgspec

from ..bounds import Bounds
from ..core import ErrorType, ResultError, UnifiedResult
from ..exceptions import BatchNotFinishedError, ValidationError
from ..intake.options import Options, Rows
from ..intake.problems import Problems
from ..intake.rows import RowReader
from ..jsonl import read_lines
from ..road.accepted import has_retry
from ..road.context import Context
from ..road.records import read_record
from ..road.submission import Submission
from ..state.base import Commit, Hint
from ..state.facts import BatchFacts
from ..state.items import Batch, retry_id
from .submit import submit_rows


def retry_failed(context: Context, batch: Batch, results: Iterable[UnifiedResult], *, undecided: bool = False) -> Hint:
    """Submit the rows of a finished batch that have no answer.

    The new batch's id is that of the old one with `-retry`, so that the same rows are not paid for twice by mistake.
    The old one says so, and is not taken up any more.

    Raises:
        ValidationError: no row failed, they were sent again before, the batch changed just now, or rows may be answered
            and paid for, and `undecided` is not set.
    """
    if not batch.state.is_final:
        raise BatchNotFinishedError(batch.id, batch.state)
    errors = {result.custom_id: result.error for result in results if not result.is_successful()}
    if not errors:
        raise ValidationError(f"every row of {batch.id} was answered: there is nothing to send again")
    doubtful = sum(map(_may_be_paid, errors.values()))
    if doubtful and not undecided:
        raise ValidationError(
            f"{doubtful} rows of {batch.id} are undecided or missing: those that the provider has answered would be "
            f"paid for twice. `batch-router resume {batch.id}` looks for their answers; "
            f"`batch-router retry {batch.id} --yes` sends them"
        )
    batch_id = retry_id(batch.id)
    if has_retry(context, batch):
        raise ValidationError(f"the failed rows of {batch.id} were sent again before, as {batch_id}; retry that one")
    if context.store.get_batch(batch_id) is not None:
        raise ValidationError(
            f"{batch_id} is another batch, and the failed rows of {batch.id} would have its id: purge it first, or "
            "submit these rows yourself"
        )
    options = read_record(context.storage, batch.id, batch.submission, Submission).options
    again = msgspec.structs.replace(options, batch_id=batch_id, idempotency_key=None)
    rows = Rows(requests=_requests(context, batch, options, errors.keys()))
    note = partial(_note, context, batch, batch_id)
    return submit_rows(context, batch.provider, rows, again, before=note, retry_of=batch.id)


def _may_be_paid(error: ResultError | None) -> bool:
    """Whether the provider may have answered the row, and nothing tells."""
    if error is None:
        return False
    return error.type == ErrorType.UNDECIDED or (error.type == ErrorType.MISSING and not error.retryable)


def _note(context: Context, batch: Batch, batch_id: str) -> None:
    """Have the batch say what its failed rows are sent again as."""
    commit = Commit(batch.state, 0, BatchFacts(retried_as=batch_id))
    if context.store.decide(batch, commit, holder=f"{context.worker}/{secrets.token_hex(4)}") is None:
        raise ValidationError(f"{batch.id} has changed just now; look at `batch-router status {batch.id}`")


def _requests(context: Context, batch: Batch, options: Options, wanted: Set[str]) -> Iterator[msgspec.Raw]:
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
