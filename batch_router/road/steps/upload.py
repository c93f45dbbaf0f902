"""Rows to the provider, where it takes them as a file."""

from ...state.facts import ShardFacts
from ...state.items import Shard
from ...state.table import State
from ..context import Running
from ..jobs import job_spec, rows_to_send
from ..ledger import reserve
from ..outcome import ShardOutcome, shard_to
from ..step import Step


def upload(running: Running, shard: Shard) -> ShardOutcome:
    """Send the shard's rows. A file from an uploader that then lost the claim is never used."""
    if shard.doubt_since is not None and running.clients.provider(shard.provider).remote:
        return shard_to(shard.state.onward)  # which looks first for the job of an upload that the store forgot
    if shard.cancel:
        return shard_to(State.NORMALIZING)
    client = running.client_of(shard)
    if (waits := reserve(running, shard, uploads=shard.uploads + 1)) is not None:
        return waits
    name = client.upload(rows_to_send(running, shard), job_spec(shard))
    return shard_to(shard.state.onward, upload=name)


def _undo(running: Running, shard: Shard, facts: ShardFacts) -> None:
    """Delete the file of an uploader that lost its fence, unless the shard uses it, or still may.

    Where the name is the same each time, the shard's own file may have been used and deleted before this one was sent.
    """
    name = facts.get("upload")
    current = running.store.get_shard(shard.id)
    if name is None or (current is not None and _may_need(current, name)):
        return
    running.client_of(shard).delete_upload(name)


def _may_need(shard: Shard, upload: str) -> bool:
    if shard.state.is_final and not shard.keep_remote:
        return False
    return shard.state is State.UPLOADING or shard.upload == upload


STEP = Step(upload, calls_provider=True, undo=_undo)
