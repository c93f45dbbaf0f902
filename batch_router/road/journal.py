"""Jobs that a worker made and could not commit: the store was away, or another worker had the shard by then.

A worker notes each in storage, an object per job. Any worker settles it later, when the store says how its shard is.
"""

import random
import secrets
import time
from itertools import islice

import msgspec

from ..core.jobs import Job
from ..exceptions import (
    BatchRouterError,
    CorruptItemError,
    DamagedObjectError,
    FileOperationError,
    NotFoundError,
    RequestRefusedError,
    SchemaError,
    StoreUnavailableError,
)
from ..security.logs import get_logger
from ..security.paths import batch_folder
from ..state.checks import load_item
from ..state.items import Shard, dump_item
from ..state.table import State
from ..storage import StoredObject
from .context import Context
from .keys import is_replaced, why_replaced

log = get_logger(__name__)

_FOLDER = "journal"
# Notes that one round looks at, drawn from this many.
_PER_ROUND, _MOST_NOTES = 50, 10_000
# Bytes of a note.
_LARGEST = 1 << 20
# Seconds for which a job that its provider does not know is asked to end again: it may be shown late.
_UNKNOWN_FOR = 6 * 3600.0


def note_job(context: Context, shard: Shard, job: Job) -> None:
    """Note that this job was made for a shard, and that no commit says so.

    A disk that is full or away is no reason to fail: the log names the job, and `doctor --orphans` finds it.
    """
    account = context.client_of(shard).access.account(shard.credential)
    made = msgspec.structs.replace(shard, job=job, account=account)
    name = f"{_FOLDER}/{secrets.token_hex(8)}-job.json"
    try:
        with context.storage.write(name) as stream:
            stream.write(msgspec.json.encode(dump_item(made)))
    except FileOperationError:
        log.exception("action=not_noted item=%s job=%s", shard.id, job.id)
    else:
        log.warning("action=noted item=%s job=%s", shard.id, job.id)


def settle(context: Context) -> None:
    """Settle what can be settled, in one bounded round. What cannot yet, stays noted; no error is raised."""
    try:
        notes = list(islice(context.storage.list(_FOLDER), _MOST_NOTES))
        for note in random.sample(notes, min(_PER_ROUND, len(notes))):  # none is in the way of all others
            _settle(context, note)
    except (FileOperationError, StoreUnavailableError) as error:
        log.warning("action=settle_failed error=%s", error)
    except Exception:
        log.exception("action=settle_failed")


def _settle(context: Context, note: StoredObject) -> None:
    try:
        made, job = _read(context, note.name)
        current = context.store.get_shard(made.id)
        if _is_undecided(context, made, current):
            return
        if current is None or current.job is None or current.job.id != job.id:
            _cancel(context, made, job, time.time() - note.modified_at)
    except StoreUnavailableError:
        raise
    except BatchRouterError as error:  # this note waits, and no other one for it
        log.warning("action=not_settled note=%s error=%s", note.name, error)
        return
    log.info("action=settled note=%s", note.name)
    context.storage.delete(note.name)


def _read(context: Context, name: str) -> tuple[Shard, Job]:
    """The shard as it was, and the job that was made for it.

    Raises:
        DamagedObjectError: this is no note of ours.
    """
    with context.storage.open(name) as stream:
        content = stream.read(_LARGEST)
    try:
        fields = msgspec.json.decode(content, type=dict[str, str])
        shard = load_item(msgspec.json.decode(fields.get("id", ""), type=str), fields)
    except (msgspec.MsgspecError, UnicodeDecodeError, CorruptItemError, SchemaError):
        shard = None
    if not isinstance(shard, Shard) or shard.job is None:
        raise DamagedObjectError(f"{name} is no note of a job; look at it, and delete it")
    return shard, shard.job


def _is_undecided(context: Context, made: Shard, current: Shard | None) -> bool:
    """Whether the shard may yet take the job: by a look-up, by an operator, or when a lost store is rebuilt."""
    if current is None:  # a purge deletes the files, too
        return any(context.storage.list(batch_folder(made.provider, made.batch)))
    # A store that forgot some writes is in `uploading` again; another round has found that there is no job.
    is_back = current.state is State.UPLOADING and current.round == made.round
    return current.job is None and (is_back or current.state in (State.CREATING, State.PARKED))


def _cancel(context: Context, shard: Shard, job: Job, age: float) -> None:
    """Ask the provider to end a job whose shard has ended, or has another one.

    Raises:
        BatchRouterError: the provider did not take the call; another round asks again.
    """
    if is_replaced(context, shard):
        raise NotFoundError(shard.provider, 0, f"{why_replaced(shard)} {job.id} is cancelled")
    try:
        context.client_of(shard).cancel(job.id)
    except RequestRefusedError as error:  # it has ended; `doctor --orphans` shows it
        log.warning("action=not_cancelled item=%s job=%s error=%s", shard.id, job.id, error)
    except NotFoundError:
        if age < _UNKNOWN_FOR:
            raise
    else:
        log.warning("action=cancelled item=%s job=%s", shard.id, job.id)
