"""The names of objects in storage: never made of a `custom_id`.

    generated/<provider>/<batch>/<kind>-<claim>.json           of a batch
    generated/<provider>/<batch>/<label>/<claim>-<kind>.jsonl  of a shard

A claim is the fence and a word of its holder's own: a worker that lost its claim writes where no other one reads, even
where a store that forgot some writes gives the same fence again. A shard's folder has the name of its label, which is
the same whenever the batch is cut, so that what is there of an earlier life is found.
"""

from ..security.paths import batch_folder
from ..state.items import Batch, Item, Shard


def claim_of(item: Item) -> str:
    """The part of a name that no other claim has."""
    return f"{item.version}-{(item.claimed_by or '').rpartition('/')[2]}"


def batch_object(batch: Batch, kind: str) -> str:
    """The name of a JSON object that a step of the batch writes."""
    return f"{batch_folder(batch.provider, batch.id)}/{kind}-{claim_of(batch)}.json"


def shard_folder(item: Batch | Shard, label: str) -> str:
    """Where the objects of a shard of the same batch lie."""
    batch_id = item.batch if isinstance(item, Shard) else item.id
    return f"{batch_folder(item.provider, batch_id)}/{label}"


def shard_prefix(item: Batch | Shard, label: str) -> str:
    """What the names of a shard's objects start with that a step of the item writes: its own, or one that makes it."""
    return f"{shard_folder(item, label)}/{claim_of(item)}"
