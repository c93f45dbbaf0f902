"""A step that notes in storage that a shard's answers came by."""

from ...state.items import Shard
from ..context import Context
from ..layout import shard_prefix
from ..outcome import ShardOutcome, shard_to
from ..step import Step


def stamp(context: Context, shard: Shard) -> ShardOutcome:
    """Write the note."""
    with context.storage.write(f"{shard_prefix(shard, shard.label)}-stamp") as stream:
        stream.write(str(shard.answers).encode())
    return shard_to(shard.state.onward)


STEP = Step(stamp)
