"""The names of objects in storage, made of provider, batch id, shard number and fence: never of a `custom_id`."""

from ..security.paths import batch_folder
from ..state.items import Shard


def object_prefix(provider: str, batch_id: str, number: int, fence: int) -> str:
    """What the names of a shard's objects start with. A worker that lost its fence writes where no other one reads."""
    return f"{batch_folder(provider, batch_id)}/{number:05d}-{fence}"


def shard_prefix(shard: Shard) -> str:
    """What the names of the objects start with that a step of this shard writes."""
    return object_prefix(shard.provider, shard.batch, shard.number, shard.version)
