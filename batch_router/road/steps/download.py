"""The provider's answers into storage, as they are."""

from ...core.jobs import Job
from ...jsonl import read_lines
from ...providers import Codec
from ...state.items import Shard
from ...state.table import State
from ..context import Context
from ..layout import shard_prefix
from ..outcome import ShardOutcome, shard_to
from ..refetch import MOST_REFETCHES, fetch_again
from ..step import Step


def download(context: Context, shard: Shard) -> ShardOutcome:
    """Fetch all answers into one object, which keeps them unchanged."""
    if shard.job is None:
        raise RuntimeError("a shard is downloaded only with a job")
    name = f"{shard_prefix(shard)}-answers.jsonl"
    with context.storage.write(name) as stream:
        context.client_of(shard).download(shard.job, stream)
    missing = _why_incomplete(context, name, shard.job, context.clients.provider(shard.provider).codec)
    if missing is not None and shard.refetches < MOST_REFETCHES:
        context.storage.delete(name)
        return fetch_again(shard, State.DOWNLOADING, missing)
    return shard_to(shard.state.onward, answers=name, answers_size=context.storage.size(name))


def _why_incomplete(context: Context, name: str, job: Job, codec: Codec) -> str | None:
    """Why this cannot be all. A connection that breaks is an error by itself; a proxy may end an answer politely."""
    rows = 0
    last = b""
    with context.storage.open(name) as stream:
        for line in read_lines(stream):
            if not line.isspace():
                rows, last = rows + 1, line
    announced = job.completed + job.failed
    if rows < announced:
        return f"the provider counted {announced} answers, {rows} came"
    if rows and codec.read_row_id(last) is None:
        return "the last answer is cut off"
    return None


STEP = Step(download, calls_provider=True)
