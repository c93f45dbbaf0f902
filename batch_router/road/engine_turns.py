"""Which of the waiting shards an engine takes next: for a limited number of turns one that wants what it has loaded."""

from itertools import islice

from ..core import BatchStatus
from ..providers import Loaded, LocalClient
from ..state.base import Store, Which
from ..state.items import Shard
from ..state.table import State

#: Shards that want what is loaded, in a row, from the moment that another one waits.
MOST_IN_A_ROW = 10
#: Seconds until a shard that was passed over is looked at again.
PASSED_OVER = 2.0
# Batches that are looked through for a shard that wants what is loaded.
_BATCHES = 200
_WAITING = (State.UPLOADING, State.CREATING)


class EngineTurns:
    """How long the loaded model has had the engine to itself, while another one waited; one per process."""

    def __init__(self) -> None:
        self._loaded: Loaded | None = None
        self._in_a_row: int | None = None

    def passes_over(self, store: Store, shard: Shard, client: LocalClient) -> bool:
        """Whether the shard should wait: another one can have its model at once."""
        loaded = client.loaded()
        if loaded != self._loaded:
            self._loaded, self._in_a_row = loaded, None
        if loaded is None or loaded == (shard.model, shard.engine_options):
            if self._in_a_row is not None:
                self._in_a_row += 1
            return False
        if self._in_a_row is None:
            self._in_a_row = 0
        return self._in_a_row < MOST_IN_A_ROW and _is_wanted(store, loaded, shard)


def _is_wanted(store: Store, loaded: Loaded, other: Shard) -> bool:
    running = Which(provider=other.provider, status=BatchStatus.IN_PROGRESS)
    for batch in islice(store.iter_batches(running), _BATCHES):
        for shard in store.get_shards(batch):
            free = shard.state in _WAITING and shard.claimed_by is None and shard.error is None
            if free and loaded == (shard.model, shard.engine_options) and shard.queue == other.queue:
                return True
    return False
