"""What a step works with."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..providers import Client, Provider, find_provider
from ..settings import Settings
from ..state.base import Store
from ..state.table import State
from ..storage import LocalStorage
from .lease import Lease, LeaseKeeper


class Outcome(NamedTuple):
    """What a step says happened.

    Attributes:
        state: where the item stands now.
        delay: seconds until the next look; 0: hand it on at once; None: somebody else will wake it.
        patch: facts to remember.
        spawn: the facts of shards to make.
    """

    state: State
    delay: float | None = 0
    patch: dict[str, Any] = {}  # noqa: RUF012 - never changed
    spawn: Sequence[dict[str, Any]] = ()


class Clients:
    """The providers' clients of this process, made when they are first needed."""

    def __init__(self, settings: Settings, providers: Mapping[str, Provider] | None = None) -> None:
        self._settings = settings
        self._providers = {} if providers is None else providers
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}

    def provider(self, name: str) -> Provider:
        """A provider as this process was given it, or as the settings have it."""
        if name in self._providers:
            return self._providers[name]
        return find_provider(name)(base_url=self._settings.base_urls.get(name))

    def get(self, name: str) -> Client:
        """The client of a provider; threads share it, as the SDKs allow."""
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self.provider(name).connect(timeout=self._settings.http_timeout)
            return self._clients[name]

    def close(self) -> None:
        """Close what was made."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()


@dataclass(frozen=True)
class Context:
    """What every step of a process shares, and the lease of the one that runs.

    Attributes:
        worker: who we are, for logs and status.
    """

    settings: Settings
    store: Store
    storage: LocalStorage
    worker: str
    clients: Clients
    keeper: LeaseKeeper
    _lease: Lease | None = field(default=None)

    @property
    def lease(self) -> Lease:
        """The lease of the running step."""
        if self._lease is None:
            raise RuntimeError("no step is running")
        return self._lease

    def close(self) -> None:
        """End the thread and the connections; for a process that goes on without it."""
        self.keeper.close()
        self.clients.close()
        self.store.close()
