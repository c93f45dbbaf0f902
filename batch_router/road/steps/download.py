"""The provider's answers into storage, as they are."""

from ...bounds import Bounds
from ...jsonl import Line, LongLine, bounded_lines
from ...state.items import Shard
from ...state.table import State
from ..answers import row_id_of
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
    missing = _why_incomplete(context, name, shard)
    if missing is not None and shard.refetches < MOST_REFETCHES:
        context.storage.delete(name)
        return fetch_again(shard, State.DOWNLOADING, missing)
    return shard_to(shard.state.onward, answers=name, answers_size=context.storage.size(name))


def _why_incomplete(context: Context, name: str, shard: Shard) -> str | None:
    """Why this cannot be all. A connection that breaks is an error by itself; a proxy may end an answer politely."""
    bounds = context.settings.of(Bounds)
    rows = 0
    last: Line = b""
    with context.storage.open(name) as stream:
        for line in bounded_lines(stream, bounds.max_answer_bytes):
            if isinstance(line, LongLine) or not line.isspace():
                rows, last = rows + 1, line
    announced = shard.job.completed + shard.job.failed if shard.job else 0
    if rows < announced:
        return f"the provider counted {announced} answers, {rows} came"
    if rows and row_id_of(last, shard, context.clients.provider(shard.provider).codec, bounds) is None:
        return "the last answer is cut off"
    return None


STEP = Step(download, calls_provider=True)
