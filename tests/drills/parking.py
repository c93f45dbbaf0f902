"""A shard that waits for the operator: its job is long overdue at the first look, in a status of no known meaning."""

import time
from contextlib import suppress

from batch_router.exceptions import ValidationError
from batch_router.simulator import Scenario
from batch_router.simulator.oddities import Words
from batch_router.simulator.scenario import Latency
from batch_router.state.items import Shard
from batch_router.state.table import State

from .stack import DAY, Stack

#: The service's clock is days behind, its jobs run for ever, and their status is a word that no description has.
STRANGE = Scenario(
    latency=Latency(in_progress=600), clock=-4 * 86_400.0, odd=(Words(words={"in_progress": "reticulating"}),)
)
_PATIENCE = 60.0


def park(stack: Stack, batch_id: str) -> None:
    """Wait until the one shard is parked; then the service is well again, and has the answers."""
    _parked(stack, batch_id)
    stack.turn(DAY)


def park_and_end(stack: Stack, batch_id: str) -> None:
    """The same, but first the operator ends the job at the provider: no row of it is answered, or paid.

    Its file is days old by the service's clock, and the look for uploads would not find it.
    """
    for shard in _parked(stack, batch_id):
        if shard.job is not None:
            stack.end_job(shard.job)
    stack.turn(DAY)


def give_up(stack: Stack, batch_id: str) -> None:
    """Give the shard up when it is parked; its job still runs, and no row of it is answered."""
    _parked(stack, batch_id)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(ValidationError):  # the step has looked just now
            stack.client.resolve(batch_id, give_up=True)
            return
        time.sleep(0.2)


def _parked(stack: Stack, batch_id: str) -> list[Shard]:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        batch = stack.store.get_batch(batch_id)
        shards = stack.store.get_shards(batch) if batch else []
        if shards and all(shard.state is State.PARKED for shard in shards):
            return shards
        time.sleep(0.1)
    return []
