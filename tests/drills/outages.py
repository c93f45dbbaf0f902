"""Faults of our own: messages lost, twice or late; Redis stopped, killed, or full; the storage gone."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import redis

from batch_router.exceptions import StoreUnavailableError
from batch_router.simulator import Scenario
from batch_router.simulator.scenario import Latency
from batch_router.state.base import Hint
from batch_router.state.items import Batch, Shard
from batch_router.state.table import State

from .commands import submit, wait_for_end
from .courses import Course, arguments_of
from .drill import Outcome
from .invariants import Findings, check, left_behind, remote_objects
from .stack import Stack

#: Long enough that the outage is in the middle of it.
_DAY = Scenario(latency=Latency(in_progress=4))
_COURSE = Course(day=_DAY, deadline=180)
_OUTAGE = 30.0
_SHORT_OUTAGE = 8.0


class Outage(NamedTuple):
    """A fault, and what makes it happen while a batch is on the road; returns what went wrong with that."""

    fault: str
    happen: Callable[[Stack, str], list[str]]

    def __str__(self) -> str:
        return self.fault


def run_outage(stack: Stack, outage: Outage) -> list[Outcome]:
    """A batch of each kind of provider goes through it."""
    stack.turn(_DAY)
    there = remote_objects(stack)
    batches = [stack.new_id(provider) for provider in ("openai", "anthropic")]
    for batch_id in batches:
        submit(stack, _COURSE, batch_id.partition("-")[0], batch_id)
    problems = outage.happen(stack, batches[0])
    for batch_id in batches:
        wait_for_end(stack, batch_id, _COURSE.deadline)
    found = [Outcome(outage.fault, f"{outage}, {batch_id}", check(stack, batch_id, _COURSE)) for batch_id in batches]
    problems += left_behind(stack, there, batches)
    return [*found, Outcome(outage.fault, str(outage), Findings(problems=tuple(problems)), runs=0)]


def _lose_messages(stack: Stack, batch_id: str) -> list[str]:
    """The broker's database is wiped, again and again."""
    for _ in range(20):
        stack.broker.flushdb()
        time.sleep(0.5)
    return []


def _repeat_messages(stack: Stack, batch_id: str) -> list[str]:
    """Each item's present message comes twice more, again and again."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for item in _items(stack, batch_id):
            if item.state.step is not None:
                for _ in range(2):
                    stack.send(Hint(item.id, item.version, item.state, item.provider))
        time.sleep(0.2)
    return []


def _send_late(stack: Stack, batch_id: str) -> list[str]:
    """All messages that there ever were come again when all is over; a worker may look, and nothing changes."""
    wait_for_end(stack, batch_id, _COURSE.deadline)
    before = _items(stack, batch_id)
    for item in before:
        states = (State.QUEUED, State.FINISHING) if isinstance(item, Batch) else (State.CREATING, State.NORMALIZING)
        for version in range(1, item.version + 1):
            for state in states:
                stack.send(Hint(item.id, version, state, item.provider))
    time.sleep(3)
    return [] if _facts(_items(stack, batch_id)) == _facts(before) else ["a late message changed something"]


def _facts(items: list[Batch | Shard]) -> list[Batch | Shard]:
    """All but how often workers looked at them, and when."""
    return [msgspec.structs.replace(item, version=0, updated_at=0) for item in items]


def _items(stack: Stack, batch_id: str) -> list[Batch | Shard]:
    batch = stack.store.get_batch(batch_id)
    return [batch, *stack.store.get_shards(batch)] if batch else []


def _stop_redis(stack: Stack, batch_id: str) -> list[str]:
    """It answers no process for half a minute, and then goes on."""
    os.kill(stack.server.pid, signal.SIGSTOP)
    time.sleep(_OUTAGE)
    os.kill(stack.server.pid, signal.SIGCONT)
    return []


def _kill_redis(stack: Stack, batch_id: str) -> list[str]:
    """It dies three times, and comes back each time with what is in its log."""
    for _ in range(3):
        stack.server.kill()
        time.sleep(1)
    return []


def _fill_redis(stack: Stack, batch_id: str) -> list[str]:
    """It takes nothing more for a while: a submission is refused aloud, and all else waits."""
    with _full(stack):
        try:
            stack.client.submit("openai", **arguments_of(stack, _COURSE, "openai", stack.new_id("full")))
        except StoreUnavailableError:
            problems = []
        else:
            problems = ["a submission that cannot be stored was taken"]
        time.sleep(_SHORT_OUTAGE)
    return problems


def _lose_storage(stack: Stack, batch_id: str) -> list[str]:
    """What all workers share can neither be read nor written for a while, as if the disk were full, or gone."""
    payloads, away = stack.home / "generated", stack.home / "generated.away"
    payloads.rename(away)
    payloads.touch()  # so that no process makes it again
    time.sleep(_SHORT_OUTAGE)
    payloads.unlink()
    away.rename(payloads)
    return []


@contextmanager
def _full(stack: Stack) -> Iterator[None]:
    with redis.Redis.from_url(str(stack.settings.redis_url)) as client:
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


def _kill_each(stack: Stack, batch_id: str) -> list[str]:
    """Each worker dies once; the one that goes on has another idea of the time."""
    for number in range(len(stack.fleet)):
        time.sleep(2)
        stack.fleet.kill(number)
    return []


#: On fleets of two workers, one of whose clocks is wrong: countdowns of the one mean nothing to the other.
CLOCKS = {"ahead": Outage("a clock 3 h ahead", _kill_each), "behind": Outage("a clock 3 h behind", _kill_each)}

OUTAGES = (
    Outage("messages lost", _lose_messages),
    Outage("messages repeated", _repeat_messages),
    Outage("messages late", _send_late),
    Outage("Redis stopped 30 s", _stop_redis),
    Outage("Redis killed", _kill_redis),
    Outage("Redis full", _fill_redis),
    Outage("storage gone", _lose_storage),
)
