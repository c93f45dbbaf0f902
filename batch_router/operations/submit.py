"""A batch enters: checked, its rows in storage, its state in the store. Runs in the caller's process."""

import os
import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from xxhash import xxh3_128

from ..core import UnifiedRequest
from ..exceptions import BrokerUnavailableError, ValidationError
from ..intake.check import RowCheck, check_file, readable
from ..intake.options import Options, read_options
from ..intake.rows import request_from
from ..jsonl import hash_file
from ..providers import Provider
from ..road.context import Context
from ..road.layout import batch_folder
from ..state.base import Hint
from ..state.items import Batch, InputFile
from ..state.table import State


def submit(
    context: Context,
    provider: str,
    *,
    requests: Iterable[Any] | None = None,
    input: str | Path | None = None,  # noqa: A002 - the name users see
    check_rows: int | None = 1000,
    message_follows: bool = False,
    **options: Any,
) -> Hint:
    """Put a batch into the store, where the sweep of any worker finds it even if no message is ever sent.

    Args:
        context: the caller's.
        provider: whose API the requests go to.
        requests: the rows themselves: dicts, `UnifiedRequest`s or pydantic models.
        input: a JSONL file with the rows, on a path that the workers can read too.
        check_rows: how many rows of `input` to check now; None: all. Workers check all of them in any case.
        message_follows: the caller sends one now, so the sweep is to leave it time to arrive.
        options: see `Options`.

    Returns:
        What the first message should carry.

    Raises:
        ValidationError: says what is wrong and what to do; nothing was stored.
        FileOperationError: the storage cannot be written.
        BrokerUnavailableError: the store cannot be reached.
    """
    kind = context.clients.provider(provider)
    chosen = read_options(options)
    if chosen.credential is not None and not kind.takes_credential():
        raise ValidationError(f"credential: {provider} needs no key; leave it out")
    queue = kind.queue_of(chosen.model)
    kind.check_engine_options(chosen.engine_options)
    if (requests is None) == (input is None):
        raise ValidationError("give either requests= (a list) or input= (the path of a JSONL file)")
    batch_id = chosen.choose_id()
    if chosen.idempotency_key is None and context.store.get_batch(batch_id) is not None:
        raise _taken(batch_id)
    # Named at random, so that of two submissions of one id the loser cannot overwrite the winner's rows.
    name = f"{batch_folder(provider, batch_id)}/{secrets.token_hex(4)}"
    with ExitStack() as undo:
        undo.callback(context.storage.delete, f"{name}-submission.json")
        undo.callback(context.storage.delete, f"{name}-input.jsonl")
        if requests is not None:
            rows = _store_requests(context, f"{name}-input.jsonl", kind, requests, chosen)
        else:
            rows = _inspect_file(_to_path(input), kind, chosen, check_rows)
        with context.storage.write(f"{name}-submission.json") as stream:
            stream.write(msgspec.json.encode(chosen))
        content = _hash_content(provider, chosen, rows)
        facts = {
            "provider": provider,
            "queue": queue,
            "credential": chosen.credential,
            "model": chosen.model,
            "metadata": chosen.metadata,
            "timeout": chosen.timeout,
            "input": rows,
            "submission": f"{name}-submission.json",
            "content": content,
        }
        context.check_storage()
        try:
            delay = context.settings.grace if message_follows else 0
            created = context.store.create(batch_id, facts, delay=delay)
            known = None if created else context.store.get_batch(batch_id)
        except BrokerUnavailableError:
            undo.pop_all()  # the reply may be all that was lost: then the rows are the batch's
            raise
        # The client of the store repeats a call whose reply was lost: then the batch that is there is this very one.
        if known is not None and known.submission != facts["submission"]:
            return _same_batch(known, chosen, content)
        undo.pop_all()
    return Hint(batch_id, 1, State.QUEUED, provider, queue)


def _same_batch(batch: Batch, options: Options, content: str) -> Hint:
    """The batch that an earlier submission with this key made."""
    if options.idempotency_key is None:
        raise _taken(batch.id)
    if batch.content != content:
        raise ValidationError(
            f"idempotency_key {options.idempotency_key!r} was used for other requests or options, as batch "
            f"{batch.id}; use another key for these"
        )
    return Hint(batch.id, batch.version, batch.state, batch.provider, batch.queue)


def _hash_content(provider: str, options: Options, rows: InputFile) -> str:
    digest = xxh3_128(provider.encode())
    digest.update(msgspec.json.encode(options, order="deterministic"))
    digest.update(rows.hash.encode())
    return digest.hexdigest()


def _taken(batch_id: str) -> ValidationError:
    return ValidationError(f"batch_id {batch_id!r} is taken; choose another, or leave it out")


def _store_requests(
    context: Context, name: str, kind: Provider, requests: Iterable[Any], options: Options
) -> InputFile:
    if isinstance(requests, (str, bytes, dict)) or not isinstance(requests, Iterable):
        raise ValidationError(f"requests must be a list of requests, not {type(requests).__name__}")
    check = RowCheck(kind, options)
    size, number = 0, 0
    digest = xxh3_128()
    with context.storage.write(name) as stream:
        for number, value in enumerate(requests, 1):
            try:
                request = _to_request(value)
                line = _encode(request)
                check.check(request)
            except ValidationError as error:
                check.refuse(number, error)
                line = b"\n"  # so that the lines below keep their numbers
            stream.write(line)
            digest.update(line)
            size += len(line)
    if number == 0:
        raise ValidationError("requests is empty: there is nothing to send")
    check.finish(lambda: context.storage.open(name))
    return InputFile(path=str(context.storage.path(name)), size=size, hash=digest.hexdigest())


def _encode(request: UnifiedRequest) -> bytes:
    try:
        return msgspec.json.encode(request) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:  # what JSON does not have; a lone surrogate
        raise ValidationError(f"cannot be written as JSON: {error}") from None


def _to_request(value: Any) -> UnifiedRequest:
    if isinstance(value, UnifiedRequest):
        return value
    dump = getattr(value, "model_dump", None)  # a pydantic model
    return request_from(dump(exclude_none=True) if callable(dump) else value)


def _to_path(value: str | Path | None) -> Path:
    if "://" in str(value):
        raise ValidationError(f"input: {value} is a URL; only files on a path that all workers share are supported")
    return Path(str(value))


def _inspect_file(path: Path, kind: Provider, options: Options, limit: int | None) -> InputFile:
    path = path.absolute()
    check_file(path, kind, options, limit)
    with readable(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        return InputFile(path=str(path), size=size, hash=hash_file(path))
