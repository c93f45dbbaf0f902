"""What a step works with."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Self

from ..core import Prices
from ..core.jobs import Account
from ..credentials import find_key
from ..exceptions import NotFoundError
from ..providers import Client, Provider, find_provider
from ..security.paths import batch_folder
from ..settings import Settings
from ..state.base import Store
from ..state.items import Shard
from ..storage import Storage
from .callbacks import Deliver, deliver_nothing
from .engine_turns import EngineTurns
from .lease import Lease, LeaseKeeper


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
        return find_provider(name, self._settings)(base_url=self._settings.base_urls.get(name))

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
        """Look the key up again next time: it was refused. Other threads may still use the client, so it stays open."""
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
    """What all steps of a process share.

    Attributes:
        worker: the name of this process, for logs and status.
        is_stopping: whether this process was asked to end: a job that runs in it goes on elsewhere.
        deliver: sends a task to the user's app.
        prices: of tokens, as this process's settings have them.
    """

    settings: Settings
    store: Store
    storage: Storage
    worker: str
    clients: Clients
    keeper: LeaseKeeper
    is_stopping: Callable[[], bool] = lambda: False
    turns: EngineTurns = field(default_factory=EngineTurns)
    deliver: Deliver = deliver_nothing
    prices: Prices = field(default_factory=Prices)

    def client_of(self, shard: Shard, *, needs_key: bool = True) -> Client:
        """The client that a shard's calls go through: always with the key that made its job.

        Args:
            shard: whose calls they are.
            needs_key: whether the service is called; for files here no key is needed.

        Raises:
            NotFoundError: its job runs in a worker, and its rows, its upload or its job are another batch's.
        """
        if not self.clients.provider(shard.provider).remote:
            _check_names(shard)
        return self.clients.get(shard.provider, shard.credential if needs_key else None)

    def account_of(self, shard: Shard) -> str:
        """The name of the account that the shard's calls count for: a provider's limits hold for all of it."""
        if shard.account is not None:
            return shard.account.name
        return Account(service=self.client_of(shard).access.service, credential=shard.credential).name

    def close(self) -> None:
        """End the thread and the connections; for a process that goes on without it."""
        self.keeper.close()
        self.clients.close()
        self.store.close()


def _check_names(shard: Shard) -> None:
    """Jobs that run in a worker have the names of their rows: a name of the store leads to the batch's own files."""
    folder = f"{batch_folder(shard.provider, shard.batch)}/"
    names = (shard.requests, shard.upload or shard.requests, shard.job.id if shard.job else shard.requests)
    if not all(name.startswith(folder) for name in names):
        raise NotFoundError(shard.provider, 0, f"{shard.id} names files of another batch; nothing was touched")


@dataclass(frozen=True, kw_only=True)
class Running(Context):
    """A context in which a step runs, with the lease of its item."""

    lease: Lease

    @classmethod
    def under(cls, lease: Lease, context: Context) -> Self:
        """The context, with a lease."""
        return cls(**{each.name: getattr(context, each.name) for each in fields(context)}, lease=lease)
