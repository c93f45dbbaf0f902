"""The provider's answers into storage, as they are."""

from pathlib import Path

from ..core.jobs import Failure, Job
from ..exceptions import ProtocolError
from ..jsonl import read_lines
from ..providers import Codec
from ..state.items import Shard
from ..state.table import State
from .context import Context, Outcome
from .submit import batch_folder

#: How often answers that look cut short are fetched again, before they are taken for all there is: counts may be wrong.
MOST_DOUBTS = 4


def download(context: Context, shard: Shard) -> Outcome:
    """Fetch all answers into one object; what the provider said stays there unchanged."""
    if shard.job is None:
        raise RuntimeError("a shard is downloaded only with a job")
    name = f"{shard_folder(shard)}-answers.jsonl"
    with context.storage.write(name) as stream:
        context.client_of(shard).download(shard.job, stream)
    path = context.storage.path(name)
    doubt = _doubt(path, shard.job, context.clients.provider(shard.provider).codec)
    if doubt is not None and shard.doubts < MOST_DOUBTS:
        context.storage.delete(name)
        return fetch_again(shard, State.DOWNLOADING, doubt)
    return Outcome(State.NORMALIZING, patch={"answers": name, "answers_size": path.stat().st_size})


def fetch_again(shard: Shard, state: State, doubt: str) -> Outcome:
    """Go (or stay) where the answers are fetched, and say why."""
    failure = Failure(type=ProtocolError.type, message=f"{doubt}; fetching the answers again", retryable=True)
    facts = {"doubts": shard.doubts + 1, "answers": None, "error": failure}
    return Outcome(state, delay=2.0**shard.doubts, patch=facts)


def _doubt(path: Path, job: Job, codec: Codec) -> str | None:
    """Why this cannot be all. A connection that breaks is an error by itself; a proxy may end an answer politely."""
    rows = 0
    last = b""
    with path.open("rb") as stream:
        for line in read_lines(stream):
            if not line.isspace():
                rows, last = rows + 1, line
    announced = job.completed + job.failed
    if rows < announced:
        return f"the provider counted {announced} answers, {rows} came"
    if rows and codec.read_row_id(last) is None:
        return "the last answer is cut off"
    return None


def shard_folder(shard: Shard) -> str:
    """What the names of the shard's objects start with; the fence is part of it."""
    number = shard.id.rpartition(".")[2]
    return f"{batch_folder(shard.provider, shard.batch)}/{int(number):05d}-{shard.version}"
