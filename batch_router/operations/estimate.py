"""What a batch would take and cost, before anything is sent."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..bounds import Bounds, beyond
from ..core import Endpoint, Estimate, ModelEstimate, NativeRow, Price, Prices, Tokens
from ..exceptions import ValidationError
from ..intake.check import RowCheck, at_most, input_file
from ..intake.encode import Row
from ..intake.given import line_of
from ..intake.options import Rows, SubmitOptions, read_submission
from ..intake.problems import BadRow
from ..intake.recognise import recognise
from ..intake.sizes import most_output, text_bytes
from ..providers import Limits, Provider
from ..road.cutting import MAX_KINDS, larger_than_a_job
from ..road.spend import Learned, learn
from ..road.submission import Kind, shard_limits
from ..security.printable import printable
from ..settings import Settings
from ..storage import Storage

_BYTES_PER_TOKEN = 4  # of English text; others have fewer
_LABEL = "0" * 16  # each row that is sent has a label of this length
_BLOCK = 1 << 20
_SHOWN = 500

_encode = msgspec.json.Encoder().encode


class _Tally:
    """The rows of one model and endpoint, cut into shards as `convert` cuts them.

    Attributes:
        most_output: tokens that all answers may have together; None: some rows do not say.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rows = self._inputs = self._bytes = 0  # of the open shard
        self.rows = self.shards = self.request_bytes = self.text_bytes = 0
        self.most_output: int | None = 0

    def add(self, row: Row, encode: Callable[[Row, str], object]) -> None:
        """Count a row.

        Raises:
            ValidationError: it has no room even in a job of its own, or the provider does not take it.
        """
        inputs = row.inputs if isinstance(row, NativeRow) else 1
        size = len(_encode(encode(row, f"{_LABEL}-{self._rows}"))) + 1
        if self._rows and not self._has_room(inputs, size):
            self._rows = self._inputs = self._bytes = 0
        if not self._rows:
            size = len(_encode(encode(row, f"{_LABEL}-0"))) + 1
            if not self._has_room(inputs, size):
                raise ValidationError(larger_than_a_job(self._limits))
            self.shards += 1
        self._rows += 1
        self._inputs += inputs
        self._bytes += size
        self.rows += 1
        self.request_bytes += size
        self.text_bytes += text_bytes(row)
        most = most_output(row)
        self.most_output = None if self.most_output is None or most is None else self.most_output + most

    def _has_room(self, inputs: int, size: int) -> bool:
        return self._inputs + inputs <= self._limits.rows and self._bytes + size <= self._limits.bytes


def estimate(
    settings: Settings, storage: Storage, prices: Prices, provider: Provider | type[Provider], options: SubmitOptions
) -> Estimate:
    """What a batch of these rows would take and cost. Reads all of them, and sends nothing.

    Args:
        settings: of this process.
        storage: with the records of what earlier batches spent.
        prices: of the tokens.
        provider: where the rows would go.
        options: of the submission.

    Raises:
        ValidationError: the batch would be refused; says what is wrong and what to do.
    """
    rows, chosen = read_submission(options)
    check = RowCheck(provider, chosen, settings, rows.source, unit=rows.unit)
    with _open_rows(rows, settings) as stream:
        tallies = _count(stream, check, shard_limits(settings, provider.limits), settings.of(Bounds).max_shards)
    learned = learn(storage, provider.name)
    now = time.time()
    models = tuple(
        _of_model(kind, tally, learned.get(kind.model), prices.find(provider.name, kind.model, now))
        for kind, tally in tallies.items()
    )
    return Estimate(
        provider=provider.name,
        rows=sum(each.rows for each in models),
        shards=sum(each.shards for each in models),
        input_tokens=sum(each.input_tokens for each in models),
        output_tokens=_sum(each.output_tokens for each in models),
        cost=_sum_of_money(each.cost for each in models),
        list_cost=_sum_of_money(each.list_cost for each in models),
        dropped=dict(check.dropped),
        adjusted=dict(check.adjusted),
        models=models,
    )


def _count(stream: BinaryIO, check: RowCheck, limits: Limits, most_shards: int) -> dict[Kind, _Tally]:
    tallies: dict[Kind, _Tally] = {}
    for line, each in check.read(stream):
        try:
            row = check.accept(each)
            kind = Kind(row.model or "", row.endpoint or Endpoint.CHAT)
            if kind not in tallies and len(tallies) == MAX_KINDS:
                raise ValidationError(f"model: more than {MAX_KINDS} different models in one batch; split it")
            tallies.setdefault(kind, _Tally(limits)).add(row, check.encode)
        except BadRow as error:
            check.refuse(line, error)
    stream.seek(0)
    check.finish(lambda: stream)
    if sum(tally.shards for tally in tallies.values()) > most_shards:
        raise ValidationError(f"shards: {beyond('max_shards', most_shards)}; split the batch")
    return tallies


def _of_model(kind: Kind, tally: _Tally, learned: Learned | None, price: Price | None) -> ModelEstimate:
    taken = round(learned.input_per_byte * tally.request_bytes) if learned else tally.text_bytes // _BYTES_PER_TOKEN
    made = round(learned.output_per_answer * tally.rows) if learned else tally.most_output
    if kind.endpoint is Endpoint.EMBEDDINGS:
        made = 0
    tokens = None if made is None else Tokens(input_tokens=taken, output_tokens=made)
    return ModelEstimate(
        model=kind.model,
        endpoint=kind.endpoint,
        rows=tally.rows,
        shards=tally.shards,
        request_bytes=tally.request_bytes,
        input_tokens=taken,
        input_from="earlier batches" if learned else "size",
        output_tokens=made,
        output_from=None if made is None else "earlier batches" if learned else "max_tokens",
        cost=price.cost(tokens) if price and tokens else None,
        list_cost=price.list_cost(tokens) if price and tokens else None,
        input_cost=price.cost(Tokens(input_tokens=taken)) if price else None,
    )


@contextmanager
def _open_rows(rows: Rows, settings: Settings) -> Iterator[BinaryIO]:
    """The rows as a stream that can be read twice; what does not come from a file is copied to one without a name."""
    if isinstance(rows.file, Path):
        with input_file(rows.file, settings) as stream:
            yield _recognised(stream, rows)
        return
    most = settings.of(Bounds).max_input_bytes
    with tempfile.TemporaryFile() as copy:
        for block in _lines(rows, settings) if rows.file is None else iter(partial(rows.file.read, _BLOCK), b""):
            copy.write(block)
            if copy.tell() > most:
                raise ValidationError(f"input: {beyond('max_input_bytes', most)} bytes; split the batch")
        copy.seek(0)
        yield copy if rows.file is None else _recognised(copy, rows)


def _recognised(stream: BinaryIO, rows: Rows) -> BinaryIO:
    if what := recognise(stream):
        raise ValidationError(f"input: {printable(str(rows.source), _SHOWN)} {what}")
    return stream


def _lines(rows: Rows, settings: Settings) -> Iterator[bytes]:
    requests: Iterable[object] = rows.requests or ()
    return (line_of(each) + b"\n" for each in at_most(settings.of(Bounds).max_rows, requests))


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(each or 0 for each in known)


def _sum_of_money(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = list(amounts)
    return None if None in known else sum((each or Decimal(0) for each in known), Decimal(0))
