"""Rows to shards: one streaming pass that checks every row, puts it into the provider's format, and cuts."""

import io
from pathlib import Path

from ...exceptions import ValidationError
from ...intake.check import RowCheck
from ...intake.problems import BadRow
from ...jsonl import HashingReader
from ...state.facts import BatchFacts
from ...state.items import Batch
from ..context import Context
from ..cutting import Cutter
from ..deadline import seconds_left, timed_out
from ..outcome import BatchOutcome, batch_to
from ..records import read_record
from ..step import Step
from ..storage_mark import check_rows
from ..submission import Submission

_BLOCK = 1 << 18


def convert(context: Context, batch: Batch) -> BatchOutcome:
    """Cut the batch into shards. No shard starts before every row was found good.

    A batch whose time is over by now is cancelled first: its shards send nothing, and write a result for each row.

    Raises:
        ValidationError: its rows were submitted into another storage.
        InvalidInputError: rows were refused, or those in the storage are not what was submitted; no shard is left.
        FileOperationError: the rows cannot be read, or the shards not be written.
    """
    check_rows(context, batch)
    if seconds_left(context, batch) == 0:
        context.store.cancel(batch.id, timed_out(batch))
    provider = context.clients.provider(batch.provider)
    submission = read_record(context.storage, batch.id, batch.submission, Submission)
    source = Path(batch.input.source) if batch.input.source else None
    check = RowCheck(provider, submission.options, context.settings, source)
    with (
        Cutter(context, batch, submission, check) as cutter,
        context.storage.open(batch.input.stored) as file,
    ):
        reader = HashingReader(file)
        for line, row in check.read(io.BufferedReader(reader, _BLOCK)):
            try:
                cutter.add(check.accept(row))
            except BadRow as error:
                check.refuse(line, error)
        if reader.hexdigest() != batch.input.hash:
            raise ValidationError("the rows in the storage are not those that were submitted; submit them again")
        check.finish(lambda: context.storage.open(batch.input.stored))
        shards = cutter.finish()
    facts = BatchFacts(rows=cutter.rows)
    if check.dropped:
        facts["dropped"] = dict(check.dropped)
    if check.adjusted:
        facts["adjusted"] = dict(check.adjusted)
    return batch_to(batch.state.onward, seconds_left(context, batch), spawn=shards, **facts)


STEP = Step(convert)
