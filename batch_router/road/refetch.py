"""Answers that look cut short are fetched again."""

from ..core.jobs import Failure
from ..exceptions import ProtocolError
from ..state.items import Shard
from ..state.table import State
from .outcome import ShardOutcome, shard_to

#: How often answers that look cut short are fetched again, after that they are accepted: counts may be wrong.
MOST_REFETCHES = 4


def fetch_again(shard: Shard, state: State, why: str) -> ShardOutcome:
    """Go (or stay) where the answers are fetched, and say why."""
    failure = Failure(type=ProtocolError.type, message=f"{why}; fetching the answers again", retryable=True)
    return shard_to(state, 2.0**shard.refetches, refetches=shard.refetches + 1, answers=None, error=failure)
