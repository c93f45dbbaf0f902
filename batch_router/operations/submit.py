"""Submits a batch: checks it, stores its rows, adds it to the store. Runs in the caller's process."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec
from xxhash import xxh3_128

from ..bounds import Bounds, beyond
from ..exceptions import StoreUnavailableError, ValidationError
from ..intake.check import RowCheck, at_most, check_lines, check_rows, input_file
from ..intake.encode import check_model
from ..intake.given import line_of
from ..intake.limits import check_limits
from ..intake.options import Options, Rows, SubmitOptions, read_submission
from ..intake.problems import BadRow, Problems
from ..providers import Provider
from ..road.accepted import mark, mark_of, restore
from ..road.callbacks import CallbackMessage
from ..road.context import Context
from ..road.storage_mark import mark_for_batch
from ..road.submission import WAY, Submission, shard_limits
from ..security.logs import get_logger
from ..security.paths import batch_folder
from ..security.webhook_urls import check_webhook
from ..state.base import Hint
from ..state.items import Batch, InputFile
from ..state.table import State

log = get_logger(__name__)

_BLOCK = 1 << 20


#: Makes the messages of a batch's callbacks, given its id.
Callbacks = Callable[[str], Sequence[CallbackMessage]]


def submit(
    context: Context,
    provider: str,
    options: SubmitOptions,
    *,
    message_follows: bool = False,
    callbacks: Callbacks = lambda _: (),
) -> Hint:
    """Put a batch into the store, where the sweep of any worker finds it even if no message is ever sent.

    Args:
        context: the caller's.
        provider: whose API the requests go to.
        options: the caller's; an unknown name among them is an error.
        message_follows: the caller sends one now, so the sweep leaves it time to arrive.
        callbacks: what the caller's app is sent at the end; called before anything is stored.

    Returns:
        What the first message should carry.

    Raises:
        ValidationError: says what is wrong and what to do; nothing was stored.
        FileOperationError: the storage cannot be written.
        StoreUnavailableError: the store cannot be reached.
    """
    rows, chosen = read_submission(options)
    return submit_rows(context, provider, rows, chosen, message_follows=message_follows, callbacks=callbacks)


def submit_rows(
    context: Context,
    provider: str,
    rows: Rows,
    options: Options,
    *,
    message_follows: bool = False,
    before: Callable[[], None] = lambda: None,
    callbacks: Callbacks = lambda _: (),
    retry_of: str | None = None,
) -> Hint:
    """The same for options that were read before; `before` is called right before the batch is made, or raises.

    `retry_of` is the id of the batch whose failed rows these are.
    """
    kind = _find_provider(context, provider)
    queue = _check_options(context, kind, options)
    batch_id = options.choose_id()
    messages = tuple(callbacks(batch_id))
    _find_again(context, batch_id)
    if options.idempotency_key is None and context.store.get_batch(batch_id) is not None:
        raise _taken(batch_id)
    # Named at random, so that of two submissions of one id the loser cannot overwrite the winner's rows.
    name = f"{batch_folder(provider, batch_id)}/{secrets.token_hex(4)}"
    with ExitStack() as undo:
        undo.callback(context.storage.delete, f"{name}-submission.json")
        undo.callback(context.storage.delete, f"{name}-input.jsonl")
        stored = _store_rows(context, f"{name}-input.jsonl", kind, rows, options)
        submission = Submission(
            batch_id=batch_id,
            provider=provider,
            options=options,
            input=stored,
            submitted_at=context.store.now(),
            seed=secrets.token_hex(16),
            limits=shard_limits(context.settings, kind.limits),
            callbacks=messages,
            retry_of=retry_of,
        )
        with context.storage.write(f"{name}-submission.json") as stream:
            stream.write(msgspec.json.encode(submission))
        born = submission.born(f"{name}-submission.json", queue)
        batch = msgspec.structs.replace(born, storage=mark_for_batch(context))
        before()
        try:
            known = _create(context, batch, delay=context.settings.grace if message_follows else 0)
        except StoreUnavailableError:
            undo.pop_all()  # the reply may be all that was lost: then the rows are the batch's
            raise
        # The client of the store repeats a call whose reply was lost: then the batch that is there is this very one.
        if known is not None and known.submission != batch.submission:
            same = _same_batch(known, options, batch.content)
            _promise(context, known)  # its caller may have died before
            return same
        undo.pop_all()
    _promise(context, batch)
    return Hint(batch_id, 1, State.QUEUED, provider, queue)


def _promise(context: Context, batch: Batch) -> None:
    """Mark the batch as taken. What the store forgot before that, no worker has looked for."""
    mark(context, batch)
    _find_again(context, batch.id)


def _find_again(context: Context, batch_id: str) -> None:
    """Have the store know the batch of this id again, if it took one and forgot it."""
    known = None if context.store.get_batch(batch_id) else mark_of(context.storage, batch_id)
    if known is not None and known.store == context.store.name():
        restore(context, known)


def _find_provider(context: Context, name: object) -> Provider:
    if not isinstance(name, str):
        raise ValidationError(f"provider must be a name such as 'openai', not {type(name).__name__}")
    return context.clients.provider(name)


def _check_options(context: Context, kind: Provider, options: Options) -> str | None:
    """The queue of the batch, if the provider takes its options."""
    if options.credential is not None and not kind.takes_credential():
        raise ValidationError(f"credential: {kind.name} needs no key; leave it out")
    check_limits(options, context.settings.of(Bounds))
    if options.webhook is not None:
        check_webhook(options.webhook, private=context.settings.webhook_private)
    kind.check_engine_options(options.engine_options, context.settings)
    kind.check_job_options(options.job_options)
    check_model(options.model)
    return kind.queue_of(options.model, context.settings)


def _create(context: Context, batch: Batch, *, delay: float) -> Batch | None:
    """Add the batch to the store; returns the batch that has the id already, if one does."""
    while not context.store.create(batch, delay=delay):
        if (known := context.store.get_batch(batch.id)) is not None:
            return known  # else it was purged in between
    return None


def _same_batch(batch: Batch, options: Options, content: str) -> Hint:
    """The batch that an earlier submission with this key made."""
    if options.idempotency_key is None:
        raise _taken(batch.id)
    if batch.purging:
        raise ValidationError(f"{batch.id}, submitted with the same key, is being purged; submit again in a moment")
    way, _, _ = batch.content.rpartition(":")
    if way != WAY:  # an earlier version hashed in another way: what it was given cannot be compared
        log.warning("action=compare_content batch=%s known=%s; taken for the same batch", batch.id, way or "1")
    elif batch.content != content:
        raise ValidationError(
            f"idempotency_key {options.idempotency_key!r} was used for other requests or options; "
            "use another key for these"
        )
    return Hint(batch.id, batch.version, batch.state, batch.provider, batch.queue)


def _taken(batch_id: str) -> ValidationError:
    return ValidationError(f"batch_id {batch_id!r} is taken; choose another, or leave it out")


def _store_rows(context: Context, name: str, kind: Provider, rows: Rows, options: Options) -> InputFile:
    source = rows.source
    stored = _store_requests(context, name, rows) if rows.file is None else _store_file(context, name, rows)
    # What is checked is what will be sent, whatever becomes of the user's file.
    with context.storage.open(name) as stream:
        limit = None if rows.file is None else rows.check_rows
        check = RowCheck(kind, options, context.settings, source, limit, rows.unit)
        if rows.file is None or source is None:
            check_lines(stream, check)
        else:
            check_rows(stream, check, source)
    return stored


def _store_file(context: Context, name: str, rows: Rows) -> InputFile:
    assert rows.file is not None
    copied = _Written(context)
    with input_file(rows.file, context.settings) as file, context.storage.write(name) as into:
        while block := file.read(_BLOCK):
            copied.add(block)
            into.write(block)
    return InputFile(stored=name, size=copied.size, hash=copied.digest.hexdigest(), source=str(rows.source))


def _store_requests(context: Context, name: str, rows: Rows) -> InputFile:
    bounds = context.settings.of(Bounds)
    problems = Problems(rows.source, rows.unit)
    written, number = _Written(context), 0
    with context.storage.write(name) as stream:
        for number, request in enumerate(at_most(bounds.max_rows, rows.requests or ()), 1):
            try:
                line = line_of(request) + b"\n"
            except BadRow as error:
                problems.add(number, error)
                continue
            written.add(line)
            stream.write(line)
    if number == 0:
        raise ValidationError("requests is empty: there is nothing to send")
    problems.raise_any()
    return InputFile(stored=name, size=written.size, hash=written.digest.hexdigest())


class _Written:
    """Counts and hashes the rows that are written."""

    def __init__(self, context: Context) -> None:
        self._most = context.settings.of(Bounds).max_input_bytes
        self.size = 0
        self.digest = xxh3_128()

    def add(self, block: bytes) -> None:
        self.size += len(block)
        self.digest.update(block)
        if self.size > self._most:
            raise ValidationError(f"input: {beyond('max_input_bytes', self._most)} bytes; split the batch")
