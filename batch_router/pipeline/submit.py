"""A batch enters: checked, its rows in storage, its state in the store. Runs in the caller's process."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from msgspec import Meta
from xxhash import xxh3_128

from ..core import UnifiedRequest
from ..core.jobs import EngineOption
from ..exceptions import MAX_PROBLEMS, BrokerUnavailableError, InvalidInputError, ValidationError
from ..jsonl import hash_file, read_lines
from ..providers import Provider
from ..state.base import Hint
from ..state.items import Batch, InputFile
from ..state.table import State
from .context import Context
from .encode import RowEncoder, Unsupported
from .rows import Defaults, DuplicateFinder, Problems, fill_defaults, read_custom_ids, read_rows, request_from

_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Keys begin with these, and would end up in the state.
_CREDENTIAL = re.compile(r"(?!sk-|AIza)[A-Za-z0-9_-]{1,64}")

#: Below it a folder for each provider, and in that one for each batch.
FOLDERS = "generated"


class Options(Defaults, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What `submit_batch` takes besides the rows.

    Attributes:
        unsupported: what becomes of a parameter that the provider does not take: an error, or it is left out.
        row_retries: how often a row that failed for a passing reason (expired, overloaded, missing...) is sent again.
        batch_id: the caller's own id for the batch: letters, digits, `_` and `-`, at most 64.
        idempotency_key: any text; a second submission with the same key and the same content is the same batch.
        credential: the name of the key to use: letters, digits, `_` and `-`. The key itself is where the workers run.
        metadata: the caller's own notes; `status` shows them.
        timeout: seconds after which the batch is cancelled, with the answers that it has by then.
        engine_options: for an engine of our own, without dashes (true: a flag): `{"max-model-len": 4096}`.
        keep_remote: leave the uploaded and the result files at the provider, where they are deleted otherwise.
    """

    unsupported: Unsupported = "error"
    row_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    batch_id: str | None = None
    idempotency_key: Annotated[str, Meta(min_length=1)] | None = None
    credential: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    timeout: Annotated[float, Meta(gt=0)] | None = None
    keep_remote: bool = False
    engine_options: dict[str, EngineOption] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_id is not None and not _BATCH_ID.fullmatch(self.batch_id):
            raise ValidationError("batch_id must be 1 to 64 letters, digits, '_' or '-'")
        if self.credential is not None and not _CREDENTIAL.fullmatch(self.credential):
            raise ValidationError("credential is the name of a key, not a key: 1 to 64 letters, digits, '_' or '-'")
        if self.batch_id is not None and self.idempotency_key is not None:
            raise ValidationError("give either batch_id or idempotency_key: the key makes the id")

    def choose_id(self) -> str:
        """The id of the batch; that of a key is always the same."""
        if self.idempotency_key is not None:
            return f"batch_{hashlib.sha256(self.idempotency_key.encode()).hexdigest()[:32]}"
        return self.batch_id or f"batch_{secrets.token_hex(8)}"


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


def batch_folder(provider: str, batch_id: str) -> str:
    """Where a batch's payloads lie in storage."""
    return f"{FOLDERS}/{provider}/{batch_id}"


def check_file(path: Path, provider: Provider | type[Provider], options: Options, limit: int | None = None) -> None:
    """Check the rows of a file, all or the first `limit` lines, against the provider's rules.

    Raises:
        InvalidInputError: with all bad rows; each names file, line, field and remedy.
        ValidationError: the file is empty, or cannot be read.
    """
    problems = Problems(str(path))
    finder = DuplicateFinder()
    encoder = RowEncoder(provider, options.unsupported)
    with _readable(path) as stream:
        if all(line.isspace() for line in read_lines(stream)):
            raise ValidationError(f"input: {path} is empty: there is nothing to send")
        stream.seek(0)
        for line, request in read_rows(islice(read_lines(stream), limit), options, problems):
            finder.add(request.custom_id)
            try:
                encoder.encode(request, "0")
            except ValidationError as error:
                problems.add(line, error)
        finder.report(lambda: read_custom_ids(path, options, limit), problems)
    problems.raise_any()


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise ValidationError(f"input: {path} cannot be read: {error.strerror}") from error
    except ValidationError:
        raise
    except ValueError as error:  # a path with a null byte
        raise ValidationError(f"input: {str(path)!r} cannot be read: {error}") from error


def read_options(options: dict[str, Any]) -> Options:
    """The options of a submission.

    Raises:
        ValidationError: one is unknown or wrong; names it.
    """
    unknown = options.keys() - set(Options.__struct_fields__)
    if unknown:
        known = ", ".join(sorted(Options.__struct_fields__))
        raise ValidationError(f"unknown option {sorted(unknown)[0]!r}; known: {known}")
    try:
        return msgspec.convert(options, Options, from_attributes=True)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        raise ValidationError(f"{where.rstrip('`') or 'options'}: {message}") from None


def _taken(batch_id: str) -> ValidationError:
    return ValidationError(f"batch_id {batch_id!r} is taken; choose another, or leave it out")


def _store_requests(
    context: Context, name: str, kind: Provider, requests: Iterable[Any], options: Options
) -> InputFile:
    if isinstance(requests, (str, bytes, dict)) or not isinstance(requests, Iterable):
        raise ValidationError(f"requests must be a list of requests, not {type(requests).__name__}")
    described: list[str] = []
    total = size = 0
    first: dict[str, int] = {}
    digest = xxh3_128()
    encoder = RowEncoder(kind, options.unsupported)
    with context.storage.write(name) as stream:
        for number, value in enumerate(requests):
            try:
                request = _to_request(value)
                line = _encode(request)
                encoder.encode(fill_defaults(request, options), "0")
                if (before := first.setdefault(request.custom_id, number)) != number:
                    raise ValidationError(f"custom_id: {request.custom_id!r} was used before, by request {before}")
            except ValidationError as error:
                total += 1
                if total <= MAX_PROBLEMS:
                    described.append(f"requests[{number}]: {error}")
                continue
            stream.write(line)
            digest.update(line)
            size += len(line)
        if total:
            raise InvalidInputError(described, total)
        if not first:
            raise ValidationError("requests is empty: there is nothing to send")
    return InputFile(path=str(context.storage.path(name)), size=size, hash=digest.hexdigest())


def _encode(request: UnifiedRequest) -> bytes:
    try:
        return msgspec.json.encode(request) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:  # what JSON does not have; a lone surrogate
        raise ValidationError(f"cannot be written as JSON: {error}") from None


def _to_request(value: Any) -> UnifiedRequest:
    if isinstance(value, UnifiedRequest):
        return msgspec.structs.replace(value)
    dump = getattr(value, "model_dump", None)  # a pydantic model
    return request_from(dump(exclude_none=True) if callable(dump) else value)


def _to_path(value: str | Path | None) -> Path:
    if "://" in str(value):
        raise ValidationError(f"input: {value} is a URL; only files on a path that all workers share are supported")
    return Path(str(value))


def _inspect_file(path: Path, kind: Provider, options: Options, limit: int | None) -> InputFile:
    path = path.absolute()
    check_file(path, kind, options, limit)
    with _readable(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        return InputFile(path=str(path), size=size, hash=hash_file(path))
