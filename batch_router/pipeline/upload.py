"""Rows to the provider, where it takes them as a file."""

from pathlib import Path

from ..core.jobs import JobSpec
from ..exceptions import FileOperationError
from ..state.items import Shard
from ..state.table import State, is_final
from .context import Context, Outcome


def upload(context: Context, shard: Shard) -> Outcome:
    """Send the shard's rows. A file that was uploaded by somebody who then lost the claim is never used."""
    if shard.cancel:
        return Outcome(State.NORMALIZING)
    client = context.client_of(shard)
    context.lease.renew(uploads=shard.uploads + 1)
    name = client.upload(requests_path(context, shard), job_spec(shard))
    return Outcome(State.CREATING, patch={"upload": name})


def undo_upload(context: Context, shard: Shard, outcome: Outcome) -> None:
    """Delete the file of an uploader that lost its fence, unless it is the shard's, or may yet become that.

    Where the name is the same each time, the shard's own file may have been used and deleted before this one was sent.
    """
    name = outcome.patch.get("upload")
    current = context.store.get_shard(shard.id)
    if name is None or (current is not None and _may_need(current, name)):
        return
    context.client_of(shard).delete_upload(name)


def _may_need(shard: Shard, upload: str) -> bool:
    if is_final(shard.state) and not shard.keep_remote:
        return False
    return shard.state is State.UPLOADING or shard.upload == upload


def requests_path(context: Context, shard: Shard) -> Path:
    """Where the shard's rows lie.

    Raises:
        FileOperationError: they are not what `convert` wrote.
    """
    path = context.storage.path(shard.requests)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileOperationError(f"{shard.requests}: {error.strerror}") from error
    if size != shard.size:
        raise FileOperationError(f"{shard.requests}: {shard.size} bytes were written, {size} are there")
    return path


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
