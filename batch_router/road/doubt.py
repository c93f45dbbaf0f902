"""Answers that look cut short are fetched again."""

from ..core.jobs import Failure
from ..exceptions import ProtocolError
from ..state.items import Shard
from ..state.table import State
from .context import Outcome

#: How often answers that look cut short are fetched again, before they are taken for all there is: counts may be wrong.
MOST_DOUBTS = 4


def fetch_again(shard: Shard, state: State, doubt: str) -> Outcome:
    """Go (or stay) where the answers are fetched, and say why."""
    failure = Failure(type=ProtocolError.type, message=f"{doubt}; fetching the answers again", retryable=True)
    facts = {"doubts": shard.doubts + 1, "answers": None, "error": failure}
    return Outcome(state, delay=2.0**shard.doubts, patch=facts)
