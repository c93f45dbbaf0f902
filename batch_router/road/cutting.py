"""Cutting rows into shards: the rows in the provider's format, and whose they are."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

import msgspec

from ..bounds import Bounds, beyond
from ..core import Endpoint, NativeRow
from ..exceptions import FileOperationError, ValidationError
from ..intake.check import RowCheck
from ..intake.encode import Row
from ..providers import Limits
from ..state.items import Batch, Shard
from ..state.table import FIRST_OF_SHARD
from .asked import SchemaList
from .context import Context
from .layout import batch_object, shard_prefix
from .submission import Kind, Submission

#: Each model, and each endpoint of it, has its own shards, and while they are cut each holds two open files.
MAX_KINDS = 100
_Encode = Callable[[Any, str], object]

_encode_into = msgspec.json.Encoder().encode_into
_encode_lines = msgspec.json.Encoder().encode_lines
_CHAT = Endpoint.CHAT  # an enum's member is slow to look up
_BLOCK = 1 << 18


class ShardWriter:
    """A shard that is being written: the rows in the provider's format, and whose they are."""

    def __init__(
        self,
        context: Context,
        name: str,
        label: str,
        kind: Kind,
        first_row: int,
        check: RowCheck,
        limits: Limits,
    ) -> None:
        self.kind = kind
        self.model, self.endpoint = kind  # looked at for each row
        self.label = label
        self.first_row = first_row
        self.rows = 0
        self.inputs = 0
        self.size = 0
        self.requests = f"{name}-requests.jsonl"
        self.row_ids = f"{name}-row-ids.jsonl"
        self.files = ExitStack()
        self._requests = self.files.enter_context(context.storage.write(self.requests))
        self._row_ids = self.files.enter_context(context.storage.write(self.row_ids))
        # Rows are encoded right into this: a row of this path is copied once, not four times.
        self._buffer = bytearray()
        self._row_ids_left: list[tuple[int, str] | tuple[int, str, int]] = []
        self._encode, self._frame = check.encode_request, check.frame
        self._most_rows, self._most_bytes = limits

    def add(self, row: Row, number: int, schema: int | None) -> bool:
        """Add the batch's row of this number; False, and nothing is added, if there is no room for it."""
        inputs = 1
        encode: _Encode | None = self._encode
        if isinstance(row, NativeRow):
            inputs, encode = row.inputs, self._frame
        assert encode is not None
        if self.inputs + inputs > self._most_rows:
            return False
        buffer = self._buffer
        start = len(buffer)
        try:
            _encode_into(encode(row, f"{self.label}-{self.rows}"), buffer, -1)
        except BaseException:
            del buffer[start:]  # what was written of it until then
            raise
        buffer += b"\n"
        end = len(buffer)
        if self.size + end - start > self._most_bytes:
            del buffer[start:]
            return False
        self.size += end - start
        self.rows += 1
        self.inputs += inputs
        self._row_ids_left.append((number, row.custom_id) if schema is None else (number, row.custom_id, schema))
        if end > _BLOCK:
            self._flush()
        return True

    def close(self) -> None:
        """Make both objects whole."""
        self._flush()
        self.files.close()

    def _flush(self) -> None:
        self._requests.write(self._buffer)
        self._row_ids.write(_encode_lines(self._row_ids_left))
        self._buffer.clear()
        self._row_ids_left.clear()


class Cutter:
    """Cuts rows into shards: one model and endpoint each, within the limits, rows in input order.

    Attributes:
        rows: how many rows were added.
    """

    def __init__(self, context: Context, batch: Batch, submission: Submission, check: RowCheck) -> None:
        self._submission = submission
        self._provider = context.clients.provider(batch.provider)
        self._context = context
        self._batch = batch
        self._check = check
        self._asked = SchemaList(self._provider.native)
        self._most_shards = context.settings.of(Bounds).max_shards
        self._open: dict[Kind, ShardWriter] = {}
        self._current: ShardWriter | None = None  # of the row before: the next one is mostly of its kind
        self._made = 0
        self._names: list[str] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shard-close")
        self._closed: list[Future[None]] = []
        self._ended: list[Shard] = []
        self.rows = 0

    def add(self, row: Row) -> None:
        """Put a row into the open shard of its kind, or into a new one.

        Raises:
            ValidationError: the provider does not take it, or not even alone in a job.
        """
        shard = self._current
        model, endpoint = row.model or "", row.endpoint or _CHAT
        if shard is None or shard.endpoint is not endpoint or shard.model != model:
            kind = Kind(model, endpoint)
            shard = self._current = self._open.get(kind) or self._begin(kind)
        if not shard.add(row, self.rows, self._asked.number_of(row)):
            if not shard.rows:
                raise ValidationError(larger_than_a_job(self._submission.limits))
            self._end(shard)
            self.add(row)
            return
        self.rows += 1

    def finish(self) -> list[Shard]:
        """End what is open; the shards in the order of their first rows."""
        for shard in list(self._open.values()):
            self._end(shard)
        self._thread.shutdown()
        for closed in self._closed:
            closed.result()
        schemas = self._write_schemas() if self._asked.used else None
        ended = [msgspec.structs.replace(shard, schemas=schemas) for shard in self._ended]
        return sorted(ended, key=lambda shard: shard.first_row)

    def _write_schemas(self) -> str:
        name = batch_object(self._batch, "schemas")
        self._names.append(name)
        with self._context.storage.write(name) as stream:
            stream.write(msgspec.json.encode(self._asked.record()))
        return name

    def __enter__(self) -> "Cutter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        if error is None:
            return
        for shard in self._open.values():
            with suppress(BaseException):
                shard.files.__exit__(kind, error, trace)
        for name in self._names:  # a shard that was ended, or whose ending failed half-way
            with suppress(FileOperationError):  # what cannot be deleted either is never read
                self._context.storage.delete(name)

    def _begin(self, kind: Kind) -> ShardWriter:
        if len(self._open) >= MAX_KINDS:
            raise ValidationError(f"model: more than {MAX_KINDS} different models in one batch; split it")
        if self._made >= self._most_shards:
            raise ValidationError(f"shards: {beyond('max_shards', self._most_shards)}; split the batch")
        self._made += 1
        label = self._submission.label(kind, self.rows)
        name = shard_prefix(self._batch, label)
        shard = ShardWriter(self._context, name, label, kind, self.rows, self._check, self._submission.limits)
        self._names += (shard.requests, shard.row_ids)
        self._open[kind] = shard
        return shard

    def _end(self, shard: ShardWriter) -> None:
        # Syncing 200 MB takes a while, and lets go of the interpreter lock: the next shard is cut meanwhile.
        self._closed.append(self._thread.submit(shard.close))
        del self._open[shard.kind]
        self._current = None
        self._ended.append(self._born(shard))

    def _born(self, shard: ShardWriter) -> Shard:
        options = self._submission.options
        return Shard(
            state=FIRST_OF_SHARD,
            provider=self._batch.provider,
            queue=self._provider.queue_of(shard.kind.model or None, self._context.settings),
            credential=self._batch.credential,
            batch=self._batch.id,
            label=shard.label,
            submitted_at=self._submission.submitted_at,
            model=shard.kind.model,
            endpoint=shard.kind.endpoint,
            rows=shard.rows,
            size=shard.size,
            first_row=shard.first_row,
            requests=shard.requests,
            row_ids=shard.row_ids,
            retries_left=options.row_retries,
            invalid_left=options.invalid_retries or None,
            engine_options=options.engine_options,
            job_options=options.job_options,
            keep_remote=options.keep_remote,
            doubt_since=self._batch.last_doubt,
            last_doubt=self._batch.last_doubt,
        )


def larger_than_a_job(limits: Limits) -> str:
    """What to say of a row that no job has room for."""
    return f"the row is larger than a job may be, {limits.bytes} bytes or {limits.rows} inputs; shorten it"
