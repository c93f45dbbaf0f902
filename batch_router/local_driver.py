"""The driver of one process: what is due, claim, step, commit, in a few threads."""

import dataclasses
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import msgspec

from .connect import embedded_server, open_context
from .exceptions import CorruptItemError, StoreUnavailableError
from .operations.rebuild import find_again
from .providers import Provider
from .road.advance import advance
from .road.journal import settle
from .road.rounds import Rounds
from .security.logs import get_logger
from .settings import Settings
from .state.base import Hint, Store
from .state.checks import note_unread
from .state.memory import MemoryStore

log = get_logger(__name__)


class LocalDriver:
    """Runs the steps of what is due in threads of this process. There are no messages: the store says what is due.

    Args:
        settings: of the router; without a Redis URL the embedded server is started here.
        providers: by name; only their batches are worked on. It may grow later.
        in_memory: keep the state in this process, without a server.

    Attributes:
        context: what the steps work with, and any client of the same store.
    """

    _EVERY = 0.05  # seconds between two looks at what is due
    _THREADS = 8
    _MOST_LOOKS = 100  # in a row at what turns out to be other providers' items

    def __init__(self, settings: Settings, providers: dict[str, Provider], *, in_memory: bool) -> None:
        # A fleet waits this long for a message before it sweeps; here none is sent.
        settings = msgspec.structs.replace(settings, grace=self._EVERY)
        self._opened = ExitStack()
        if not in_memory and settings.redis_url is None:
            url = self._opened.enter_context(embedded_server(settings))
            settings = msgspec.structs.replace(settings, redis_url=url)
        store: Store | None = MemoryStore() if in_memory else None
        self._stopping = threading.Event()
        opened = open_context(settings, store=store, providers=providers)
        self.context = dataclasses.replace(opened, is_stopping=self._stopping.is_set)
        self._providers = providers
        self._pool = ThreadPoolExecutor(self._THREADS, thread_name_prefix="batch-router")
        self._running: set[Future[None]] = set()
        self._searched = ""
        self._settling = Rounds("journal", lambda: settle(self.context), settings.lease)
        self._thread = threading.Thread(target=self._run, name="batch-router", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the threads after the steps that run, then the connections and the server."""
        self._stopping.set()
        self._thread.join()
        self._settling.close()
        self._pool.shutdown()
        self.context.close()
        self._opened.close()

    def _run(self) -> None:
        self._settling.look_after()
        while not self._stopping.wait(self._EVERY):
            for part in (self._announce, self._look):
                try:
                    part()
                except StoreUnavailableError as error:
                    log.warning("action=store_away error=%s", error)
                except Exception:
                    log.exception("action=look_failed")

    def _announce(self) -> None:
        store = self.context.store
        epoch = store.announce(self.context.worker, self._queues(), ttl=self.context.settings.lease)
        if epoch != self._searched:  # the store may have forgotten what it took
            self._searched = epoch
            find_again(self.context)

    def _look(self) -> None:
        """Begin with as much of what is due as there are free threads."""
        self._running = {each for each in self._running if not each.done()}
        free = self._THREADS - len(self._running)
        for _ in range(self._MOST_LOOKS if free else 0):
            hints = self.context.store.take_due(free, grace=self.context.settings.lease)
            ours = [hint for hint in hints if hint.provider in self._providers]
            self._running |= {self._pool.submit(self._carry, hint) for hint in ours}
            if ours or not hints:  # else all of these were of other providers, and ours may be behind them
                return

    def _carry(self, hint: Hint) -> None:
        """Take an item on, step by step, until it has to wait."""
        following: Hint | None = hint
        try:
            while following is not None and not self._stopping.is_set():
                done = advance(self.context, following.id, following.version)
                following = done.hint if done is not None and done.delay == 0 else None
        except StoreUnavailableError as error:
            log.warning("action=store_away item=%s error=%s", hint.id, error)
        except CorruptItemError as error:
            log.warning("action=left_alone error=%s", error)
            note_unread(self.context.store, hint.id, error)
        except Exception:
            log.exception("action=step_lost item=%s", hint.id)

    def _queues(self) -> list[str]:
        own: set[str] = set()
        for name, provider in [*self._providers.items()]:
            try:
                own |= provider.model_queues(self.context.settings) | ({provider.queue} if provider.queue else set())
            except Exception:  # of a provider of the app's own: the others still have their queues
                log.exception("action=queues_failed provider=%s", name)
        return ["io", "poll", "cpu", *sorted(own)]
