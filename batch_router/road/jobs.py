"""What the provider's clients need to know of a shard."""

from typing import BinaryIO, NamedTuple, cast

from ..core import Endpoint
from ..core.jobs import JobSpec
from ..exceptions import DamagedObjectError
from ..state.facts import ShardFacts
from ..state.items import Shard
from ..storage import Storage
from .context import Context, Running
from .sending import Sending, TimedStream, time_to_send


class StoredRows(NamedTuple):
    """The rows of a shard in storage; see `Rows`.

    Attributes:
        sending: the time in which they may be read; None: any.
    """

    storage: Storage
    name: str
    size: int
    sending: Sending | None = None

    def open(self) -> BinaryIO:
        """See `Rows.open`."""
        stream = self.storage.open(self.name)
        return stream if self.sending is None else cast(BinaryIO, TimedStream(stream, self.sending))


def stored_rows(context: Context, shard: Shard) -> StoredRows:
    """The shard's rows.

    Raises:
        FileOperationError: they cannot be looked at.
        DamagedObjectError: they are not what `convert` wrote.
    """
    size = context.storage.size(shard.requests)
    if size != shard.size:
        raise DamagedObjectError(f"{shard.requests}: {shard.size} bytes were written, {size} are there")
    return StoredRows(context.storage, shard.requests, size)


def rows_to_send(running: Running, shard: Shard) -> StoredRows:
    """The shard's rows, for a request that begins now: they can be read only while it may still be sent.

    Raises:
        FileOperationError: they are not what `convert` wrote.
    """
    rows = stored_rows(running, shard)
    return rows._replace(sending=Sending(shard.provider, running.lease, time_to_send(running.settings, rows.size)))


def job_spec(shard: Shard) -> JobSpec:
    """What the provider's client needs to create the shard's job."""
    return JobSpec(
        label=shard.label,
        model=shard.model,
        endpoint=Endpoint(shard.endpoint),
        rows=shard.rows,
        round=shard.round,
        upload=shard.upload,
        engine_options=shard.engine_options,
        options=shard.job_options,
    )


def uploads_of(context: Context, shard: Shard) -> frozenset[str]:
    """The provider's names of all uploads of the shard that may still be there.

    A worker that fell silent during an upload may have left one, and so may one whose commit the store forgot.
    """
    known = frozenset({shard.upload} if shard.upload is not None else ())
    if shard.uploads <= 1 and not may_have_forgotten_an_upload(shard):
        return known
    age = max(0.0, context.store.now() - shard.submitted_at)
    return known.union(context.client_of(shard).find_uploads(job_spec(shard), age))


def may_have_forgotten_an_upload(shard: Shard) -> bool:
    """Whether the store may lack an upload: that of a job that was found, or of a round before this one."""
    return shard.last_doubt is not None and (shard.upload is None or shard.round > 0)


def new_round(shard: Shard) -> ShardFacts:
    """Forget an attempt that created no job. A late request of it finds no file: the next one has another name."""
    return {"upload": None, "intent": None, "round": shard.round + 1, "doubt_since": None}
