"""Work that a process repeats for as long as it lives, in a thread that is replaced when it dies or hangs."""

import threading
import time
from collections.abc import Callable

from ..security.logs import get_logger

log = get_logger(__name__)

# No call to Redis lasts longer than two minutes: four tries, each with a time-out of 30 s.
_HANGS_AFTER = 150.0


class Rounds:
    """A thread that does the same again and again.

    Args:
        name: of the thread.
        act: one round; it handles its own errors.
        every: seconds between two rounds.
        hangs_after: seconds without the end of a round after which the thread hangs.

    Attributes:
        replaced: how many threads died or hung.
    """

    def __init__(self, name: str, act: Callable[[], None], every: float, *, hangs_after: float = _HANGS_AFTER) -> None:
        self._name = name
        self._act = act
        self._every = every
        self._hangs_after = hangs_after + every
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._last = 0.0
        self.replaced = 0

    def look_after(self) -> bool:
        """Start the thread, or replace it if it died or hangs; False if it had to be replaced."""
        with self._lock:
            if self._thread is None:
                self._start()
            elif (trouble := self._trouble(self._thread)) is not None:
                self.replaced += 1
                log.error("action=thread_replaced thread=%s %s times=%d", self._name, trouble, self.replaced)
                self._start()
                return False
            return True

    def close(self) -> None:
        """End the thread, and wait for it unless it hangs."""
        with self._lock:
            self._ended.set()
            if self._thread is not None and self._trouble(self._thread) is None:
                self._thread.join()

    def _trouble(self, thread: threading.Thread) -> str | None:
        if not thread.is_alive():
            return "died"
        silent = time.monotonic() - self._last
        return f"silent_s={silent:.0f}" if silent > self._hangs_after else None

    def _start(self) -> None:
        self._ended.set()  # a thread that hangs ends when its call returns
        self._ended = threading.Event()
        self._last = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(self._ended,), name=self._name, daemon=True)
        self._thread.start()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(self._every):
            self._act()
            self._last = time.monotonic()
