"""What the provider's clients need to know of a shard."""

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..core.jobs import JobSpec
from ..exceptions import FileOperationError
from ..state.items import Shard
from ..storage import LocalStorage
from .context import Context


class StoredRows(NamedTuple):
    """The rows of a shard in storage; see `Rows`."""

    storage: LocalStorage
    name: str
    size: int

    def open(self) -> BinaryIO:
        """See `Rows.open`."""
        return self.storage.open(self.name)

    def file(self) -> Path:
        """See `Rows.file`."""
        return self.storage.path(self.name)


def stored_rows(context: Context, shard: Shard) -> StoredRows:
    """The shard's rows.

    Raises:
        FileOperationError: they are not what `convert` wrote.
    """
    try:
        size = context.storage.path(shard.requests).stat().st_size
    except OSError as error:
        raise FileOperationError(f"{shard.requests}: {error.strerror}") from error
    if size != shard.size:
        raise FileOperationError(f"{shard.requests}: {shard.size} bytes were written, {size} are there")
    return StoredRows(context.storage, shard.requests, size)


def job_spec(shard: Shard) -> JobSpec:
    """What the provider's client needs to know of the shard."""
    return JobSpec(
        token=shard.token,
        model=shard.model,
        endpoint=shard.endpoint,
        rows=shard.rows,
        round=shard.round,
        upload=shard.upload,
        engine_options=shard.engine_options,
        since=shard.intent.at if shard.intent else shard.created_at,
    )


def begin_anew(shard: Shard) -> dict[str, Any]:
    """Forget an attempt of which nothing came. A late request of it finds no file: the next one has another name."""
    return {"upload": None, "intent": None, "round": shard.round + 1}
