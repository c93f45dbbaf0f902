"""Random workers are killed at random times while batches of all providers are on the road; a seed replays it."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from .commands import submit, wait_for_end
from .courses import COURSES
from .drill import Outcome, is_doubtful
from .fleet import Fleet
from .invariants import Findings, check, left_behind, remote_objects
from .stack import Stack
from .trace import Event

FAULT = "kill at random"
#: Batches on the road at any time, one of each provider.
PROVIDERS = ("openai", "anthropic", "google", "vllm")
# Seconds between two kills of a stack. An item that is struck again and again needs a lease each time.
_SHORTEST, _LONGEST = 0.5, 8.0
_LAST_WAIT = 240.0


class Share(NamedTuple):
    """One stack's part of the kills."""

    seed: str
    kills: int

    def half(self) -> "Share":
        """Half of the kills."""
        return self._replace(kills=(self.kills + 1) // 2)


class Kill(NamedTuple):
    """A kill that happened."""

    at: float
    worker: int


def run_storm(stack: Stack, share: Share) -> list[Outcome]:
    """One outcome a kill, for its recovery, and one a batch, for what was found of it."""
    stack.turn(COURSES["plain"].day)
    there = remote_objects(stack)
    batches: list[str] = []
    struck = kill_under_load(stack.fleet, share, [partial(_load, stack, provider, batches) for provider in PROVIDERS])
    outcomes = outcomes_of(FAULT, share, struck, stack)
    course = COURSES["plain"]
    found = [(batch_id, check(stack, batch_id, course)) for batch_id in batches]
    found.append(("all", Findings(problems=tuple(left_behind(stack, there, batches)))))
    return outcomes + [Outcome(FAULT, batch_id, findings, runs=0) for batch_id, findings in found]


def _load(stack: Stack, provider: str, batches: list[str], over: threading.Event) -> None:
    """One batch after another; the last one gets the time to end."""
    while not over.is_set():
        batch_id = stack.new_id(provider)
        batches.append(batch_id)
        submit(stack, COURSES["plain"], provider, batch_id)
        wait_for_end(stack, batch_id, _LAST_WAIT)


def kill_under_load(fleet: Fleet, share: Share, loads: Sequence[Callable[[threading.Event], None]]) -> list[Kill]:
    """Kill that many times while there is work; each load ends its last batch once the event is set."""
    over = threading.Event()
    threads = [threading.Thread(target=load, args=(over,)) for load in loads]
    for thread in threads:
        thread.start()
    struck = _kill_all(fleet, share)
    over.set()
    for thread in threads:
        thread.join()
    return struck


def _kill_all(fleet: Fleet, share: Share) -> list[Kill]:
    """One worker each time; the seed alone says when and which."""
    chance = random.Random(share.seed)
    struck = []
    for _ in range(share.kills):
        time.sleep(chance.uniform(_SHORTEST, _LONGEST))
        struck.append(Kill(time.time(), fleet.kill(chance.randrange(len(fleet)))))
    return struck


def outcomes_of(fault: str, share: Share, struck: Sequence[Kill], stack: Stack) -> list[Outcome]:
    """One outcome a kill, with the longest time until an item that its worker was the last to touch went on.

    Items in doubt have an outcome of their own.
    """
    events = [event for event in stack.events() if event.item]
    name = f"{fault} {share.seed}"
    outcomes = []
    for kill in struck:
        sure, doubtful = _recovery(kill, events)
        outcomes.append(Outcome(fault, name, Findings(), sure))
        if doubtful is not None:
            outcomes.append(Outcome(fault, name, Findings(), doubtful, runs=0, doubtful=True))
    return outcomes


def _recovery(kill: Kill, events: Sequence[Event]) -> tuple[float | None, float | None]:
    """The longest times: until an item was claimed again; in doubt, until its job was looked at."""
    last = {event.item: event for event in events if event.at <= kill.at}
    touched = [event for event in last.values() if event.worker == kill.worker and not _waits_for_shards(event)]
    in_doubt = {event.item for event in touched if is_doubtful(event, events)}
    waits: dict[bool, list[float]] = {False: [], True: []}
    for item in {event.item for event in touched}:
        until = "poll/store.claim" if item in in_doubt else "/store.claim"
        later = (each for each in events if each.item == item and each.at > kill.at and each.when == "after")
        again = next((event for event in later if event.effect.endswith(until)), None)
        if again is not None:
            waits[item in in_doubt].append(again.at - kill.at)
    return max(waits[False], default=None), max(waits[True], default=None)


def _waits_for_shards(event: Event) -> bool:
    """Whether the item is a batch that waits for its shards to end."""
    return (event.when, event.effect) in (("after", "convert/store.commit"), ("end", "convert"))
