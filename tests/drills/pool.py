"""Drills on several stacks side by side: most of a drill is waiting for a lease to end."""

import logging
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from .bill import paid_twice_later
from .drill import Outcome
from .effects import NAMES
from .invariants import Findings, canaries
from .stack import Stack, open_stack

D = TypeVar("D")
Run = Callable[[Stack, D], list[Outcome]]


class Pool:
    """Runs drills, and remembers what its stacks have done.

    Args:
        known: the effects that there are; None: whatever there is.

    Attributes:
        outcomes: of the drills, and of the stacks themselves.
        seen: effects that the traces show.
    """

    def __init__(self, known: frozenset[str] | None = NAMES) -> None:
        self._known = known
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a client that is killed makes it write traces
        self.outcomes: list[Outcome] = []
        self.seen: set[str] = set()
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def run(
        self,
        drills: Iterable[D],
        fleets: Sequence[str],
        run: Run[D],
        app: str = "tests.drills.worker",
        **settings: str,
    ) -> None:
        """Each drill once, on whichever stack is free; a stack for each of the fleets, with these settings."""
        waiting: queue.SimpleQueue[D] = queue.SimpleQueue()
        for drill in drills:
            waiting.put(drill)
        threads = [threading.Thread(target=self._serve, args=(waiting, fleet, run, app, settings)) for fleet in fleets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _serve(
        self, waiting: "queue.SimpleQueue[D]", fleet: str, run: Run[D], app: str, settings: dict[str, str]
    ) -> None:
        try:
            with open_stack(fleet, app, **settings) as stack:
                while True:
                    try:
                        drill = waiting.get_nowait()
                    except queue.Empty:
                        break
                    try:
                        self._note(*run(stack, drill))
                    except Exception as error:  # the next drill may still say something
                        traceback.print_exc()
                        self._note(Outcome("drills that broke", str(drill), _went_wrong(error)))
                words = [] if self._known is None else canaries(stack)  # the plain app sends no events
                seen = {event.effect for event in stack.events() if event.when != "end"}
                with self._lock:
                    self.seen |= seen
                strange = [] if self._known is None else sorted(seen - self._known)
                words += [f"not in the registry: {name}" for name in strange]
                paid = 0 if self._known is None else paid_twice_later(stack)  # the plain app pays more
                found = Findings(paid_twice=paid, problems=tuple(words))
                self._note(Outcome("what every stack left", fleet, found))
        except Exception as error:
            self._note(Outcome("what every stack left", fleet, _went_wrong(error)))

    def _note(self, *outcomes: Outcome) -> None:
        with self._lock:
            self.outcomes += outcomes
        for outcome in outcomes:
            took = "" if outcome.recovery_s is None else f", recovered in {outcome.recovery_s:.1f} s"
            wrong = "; ".join(outcome.findings.in_words()) or "ok"
            at = time.monotonic() - self._began
            print(f"{at:6.1f} {outcome.name}: {wrong}{took}", file=sys.stderr, flush=True)


def _went_wrong(error: Exception) -> Findings:
    return Findings(problems=(f"{type(error).__name__}: {error}",))
