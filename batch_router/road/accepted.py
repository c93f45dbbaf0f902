"""What the store took, as storage remembers it: a batch that the store forgets is found again.

What is submitted is stored before the store takes it, and its mark (`accepted/<batch>.json`) after that and before the
caller hears of it. So a submission without a mark was never promised, and one with a mark is not lost while storage
keeps it.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from ..core import Manifest, ResultStatus
from ..core.times import seconds_of
from ..exceptions import FileMissingError, FileOperationError
from ..security.logs import get_logger
from ..security.names import BATCH_ID
from ..security.paths import batch_folder
from ..state.checks import corrupt
from ..state.items import Batch, retry_id
from ..state.table import State
from ..storage import Storage
from .context import Context
from .records import read_record
from .submission import Submission

log = get_logger(__name__)

_FOLDER = "accepted"
_MANIFEST = re.compile(r"/manifest-[^/]+\.json")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that a store took.

    Attributes:
        store: the name of the store.
        submission: storage name of what was submitted.
    """

    batch_id: str
    store: str
    submission: str


def mark(context: Context, batch: Batch) -> None:
    """Note that the store took a batch.

    Raises:
        FileOperationError: the note cannot be written; the batch goes on.
    """
    made = Mark(batch_id=batch.id, store=context.store.name(), submission=batch.submission)
    try:
        _write(context.storage, made)
    except FileOperationError as error:
        message = f"{batch.id} was taken and goes on, but a store that forgets it would not find it again: {error}"
        raise FileOperationError(message) from error


def adopt(context: Context, found: Mark) -> Mark:
    """Note that a batch is this store's from now on, before it is: then it is found again, whatever happens between.

    Raises:
        FileOperationError: the note cannot be written.
    """
    adopted = replace(found, store=context.store.name())
    _write(context.storage, adopted)
    return adopted


def _write(storage: Storage, made: Mark) -> None:
    with storage.write(_name(made.batch_id)) as stream:
        stream.write(msgspec.json.encode(made))


def marks(storage: Storage) -> Iterator[str]:
    """The ids of all batches that have a mark."""
    for found in storage.list(_FOLDER):
        batch_id = found.name.rpartition("/")[2].removesuffix(".json")
        if BATCH_ID.fullmatch(batch_id):
            yield batch_id


def mark_of(storage: Storage, batch_id: str) -> Mark | None:
    """The mark of a batch."""
    try:
        return read_record(storage, batch_id, _name(batch_id), Mark)
    except FileMissingError:
        return None


def was_retried(context: Context, batch: Batch) -> bool:
    """Whether the failed rows of a batch were sent again, or were about to be, also where the store forgot that."""
    return batch.retried_as is not None or has_retry(context, batch)


def has_retry(context: Context, batch: Batch) -> bool:
    """Whether there is the batch of a batch's failed rows; a `retry` that died before it made one is given again."""
    again = retry_id(batch.id)  # an unrelated batch may have this id
    found = context.store.get_batch(again) or mark_of(context.storage, again)
    return found is not None and read_record(context.storage, again, found.submission, Submission).retry_of == batch.id


def unmark(context: Context, batch: Batch) -> None:
    """Forget that the store took a batch; not if another one has taken its id meanwhile."""
    found = mark_of(context.storage, batch.id)
    if found is not None and found.submission == batch.submission:
        context.storage.delete(_name(batch.id))


def restore(context: Context, found: Mark) -> bool:
    """Put a batch into the store that lacks it: as it ended, or else to be cut again, in doubt.

    Returns:
        Whether the store lacked it.

    Raises:
        FileOperationError: what was submitted cannot be read.
        BatchRouterError: it is not the batch's, or its provider is not there.
    """
    submission = read_record(context.storage, found.batch_id, found.submission, Submission)
    if submission.batch_id != found.batch_id:
        raise corrupt(found.batch_id, f"{found.submission} is another batch's")
    provider = context.clients.provider(submission.provider)
    queue = provider.queue_of(submission.options.model, context.settings)
    batch = submission.born(found.submission, queue)
    now = context.store.now()
    batch = replace(batch, created_at=submission.submitted_at, doubt_since=now, last_doubt=now)
    ended = _as_ended(context.storage, batch)
    is_new = context.store.create(ended or batch, delay=0)
    if is_new:
        log.warning("action=restored batch=%s state=%s", batch.id, (ended or batch).state)
    return is_new


def _as_ended(storage: Storage, batch: Batch) -> Batch | None:
    """The batch as its last manifest has it."""
    objects = storage.list(batch_folder(batch.provider, batch.id))
    written = [each for each in objects if _MANIFEST.search(each.name)]
    if not written:
        return None
    name = max(written, key=lambda each: (each.modified_at, each.name)).name
    manifest = read_record(storage, batch.id, name, Manifest)
    return replace(
        batch,
        state=State(manifest.status.value),
        manifest=name,
        rows=manifest.request_counts.total,
        tokens=manifest.tokens,
        cost=manifest.cost,
        known_cost=manifest.known_cost,
        result_counts={status.value: manifest.request_counts[status] for status in ResultStatus},
        ended_at=seconds_of(manifest.completed_at),
        failure=manifest.error,
        doubt_since=None,
    )


def _name(batch_id: str) -> str:
    return f"{_FOLDER}/{batch_id}.json"
