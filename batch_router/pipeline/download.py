"""The provider's answers into storage, as they are."""

from ..state.items import Shard
from ..state.table import State
from .context import Context, Outcome
from .submit import batch_folder


def download(context: Context, shard: Shard) -> Outcome:
    """Fetch all answers into one object; what the provider said stays there unchanged."""
    if shard.job is None:
        raise RuntimeError("a shard is downloaded only with a job")
    name = f"{shard_folder(shard)}-answers.jsonl"
    with context.storage.write(name) as stream:
        context.clients.get(shard.provider).download(shard.job, stream)
    return Outcome(State.NORMALIZING, patch={"answers": name})


def shard_folder(shard: Shard) -> str:
    """What the names of the shard's objects start with; the fence is part of it."""
    number = shard.id.rpartition(".")[2]
    return f"{batch_folder(shard.provider, shard.batch)}/{int(number):05d}-{shard.version}"
