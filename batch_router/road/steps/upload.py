"""Rows to the provider, where it takes them as a file."""

from ...state.items import Shard
from ...state.table import State, is_final
from ..context import Context, Outcome
from ..jobs import job_spec, stored_rows


def upload(context: Context, shard: Shard) -> Outcome:
    """Send the shard's rows. A file that was uploaded by somebody who then lost the claim is never used."""
    if shard.cancel:
        return Outcome(State.NORMALIZING)
    client = context.client_of(shard)
    context.lease.renew(uploads=shard.uploads + 1)
    name = client.upload(stored_rows(context, shard), job_spec(shard))
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
