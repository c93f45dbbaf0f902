"""What a step works with."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..credentials import find_key
from ..exceptions import ValidationError
from ..providers import Client, Provider, find_provider
from ..settings import Settings
from ..state.base import Store
from ..state.items import Shard
from ..state.table import State
from ..storage import LocalStorage
from .lease import Lease, LeaseKeeper
from .turns import Turns


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
        self._clients: dict[tuple[str, str | None], Client] = {}

    def provider(self, name: str) -> Provider:
        """A provider as this process was given it, or as the settings have it."""
        if name in self._providers:
            return self._providers[name]
        return find_provider(name)(base_url=self._settings.base_urls.get(name))

    def get(self, name: str, credential: str | None = None) -> Client:
        """The client of a provider, with the key of that name or the process's own; threads share it.

        Raises:
            CredentialsError: there is no such key here.
        """
        with self._lock:
            client = self._clients.get((name, credential))
            if client is None:
                client = self._keyed(name, credential).connect(self._settings)
                self._clients[name, credential] = client
            return client

    def forget(self, name: str, credential: str | None) -> None:
        """Look the key up anew next time: it was refused. Other threads may still use the client, so it stays open."""
        with self._lock:
            self._clients.pop((name, credential), None)

    def _keyed(self, name: str, credential: str | None) -> Provider:
        provider = self.provider(name)
        if credential is None:
            return provider
        return provider.with_key(find_key(type(provider), credential, self._settings.credentials))

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
        is_stopping: whether this process was asked to end: a job that runs in here goes on elsewhere.
    """

    settings: Settings
    store: Store
    storage: LocalStorage
    worker: str
    clients: Clients
    keeper: LeaseKeeper
    is_stopping: Callable[[], bool] = lambda: False
    turns: Turns = field(default_factory=Turns)
    _lease: Lease | None = field(default=None)

    def client_of(self, shard: Shard) -> Client:
        """The client that a shard's calls go through: always with the key that made its job."""
        return self.clients.get(shard.provider, shard.credential)

    @property
    def lease(self) -> Lease:
        """The lease of the running step."""
        if self._lease is None:
            raise RuntimeError("no step is running")
        return self._lease

    def check_storage(self) -> None:
        """Make sure that the payloads of this store are where this process has its own.

        Raises:
            ValidationError: they are elsewhere; says where.
            StoreUnavailableError: the store cannot be asked.
        """
        ours = str(self.storage.root)
        theirs = self.store.bind_storage(ours)
        if theirs != ours:
            raise ValidationError(
                f"this store keeps its payloads in {theirs}, this process in {ours}; "
                "set BATCH_ROUTER_HOME to the former, or use another database"
            )

    def close(self) -> None:
        """End the thread and the connections; for a process that goes on without it."""
        self.keeper.close()
        self.clients.close()
        self.store.close()
