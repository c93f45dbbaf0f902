"""The names of objects in storage, made of provider, batch id, shard number and fence: never of a `custom_id`."""

from ..state.items import Shard

#: Below it a folder for each provider, and in that one for each batch.
FOLDERS = "generated"


def batch_folder(provider: str, batch_id: str) -> str:
    """Where the objects of a batch lie."""
    return f"{FOLDERS}/{provider}/{batch_id}"


def shard_prefix(shard: Shard) -> str:
    """What the names of a shard's objects start with. A worker that lost its fence writes where no other one reads."""
    return f"{batch_folder(shard.provider, shard.batch)}/{shard.number:05d}-{shard.version}"
