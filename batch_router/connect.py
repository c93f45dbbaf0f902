"""From settings to a working context: which Redis, which storage, who we are."""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from redis.backoff import NoBackoff
from redis.retry import Retry

from .embedded import EmbeddedServer, running_url
from .exceptions import FileOperationError, StoreUnavailableError
from .prices import read_prices
from .providers import Provider
from .road.context import Clients, Context
from .road.lease import LeaseKeeper
from .security.logs import get_logger
from .security.redis_url import RedisServer, read_redis_url
from .settings import Settings
from .state.base import Store
from .state.redis import RedisStore
from .storage import FolderStorage

if TYPE_CHECKING:
    import redis

log = get_logger(__name__)

# The object with the word of the embedded server's last end, and bytes of it.
_ENDED, _LONGEST_WORD = "embedded-server-ended", 100


def state_server(settings: Settings) -> RedisServer:
    """Where the state is: the Redis of the settings, or the embedded server that runs here.

    Raises:
        StoreUnavailableError: there is neither.
        ValidationError: the setting is not the URL of a Redis database, or another user could have prepared the home.
    """
    if settings.redis_url:
        return _read("BATCH_ROUTER_REDIS_URL", settings.redis_url, settings)
    url = running_url(settings.home)
    if url is None:
        raise StoreUnavailableError(
            f"no Redis: `batch-router up` starts one in {settings.home}, or set BATCH_ROUTER_REDIS_URL"
        )
    return _read("the embedded server's", url, settings)


def broker_server(settings: Settings) -> RedisServer:
    """Where the messages are: by default the next database of the state's server, so that they can be wiped alone."""
    if settings.broker_url:
        return _read("BATCH_ROUTER_BROKER_URL", settings.broker_url, settings)
    state = state_server(settings)
    return msgspec.structs.replace(state, db=state.db + 1)


def _read(variable: str, url: str, settings: Settings) -> RedisServer:
    server = read_redis_url(variable, url, settings.redis_ca)
    if server.is_exposed:
        _warn_of(variable, server.host)
    return server


@cache
def _warn_of(variable: str, host: str) -> None:
    """Once in a process."""
    log.warning(
        "%s: what goes to %s is not encrypted; others on the network can read it; use rediss://", variable, host
    )


def open_broker(settings: Settings, *, impatient: bool = False) -> "redis.Redis":
    """The broker's database as keys; its messages are for Celery. For `impatient`, see `open_store`."""
    return broker_server(settings).client(**_patience(impatient))


def queue_key(settings: Settings, queue: str) -> str:
    """The key of a queue in the broker's database: a list of messages."""
    return f"{settings.prefix}.{queue}"


def open_store(settings: Settings, *, impatient: bool = False) -> RedisStore:
    """The store of the settings; connects when it is first used.

    Args:
        settings: of this process.
        impatient: whether a call fails within seconds, for what is soon asked again.
    """
    client = state_server(settings).client(
        decode_responses=True,
        encoding_errors="backslashreplace",  # what is no UTF-8 concerns only the item that it stands in
        health_check_interval=25,
        **_patience(impatient),
    )
    return RedisStore(client, prefix=f"{settings.prefix}:")


def _patience(impatient: bool) -> dict[str, Any]:
    if impatient:
        return {"socket_timeout": 2, "socket_connect_timeout": 2, "retry": Retry(NoBackoff(), 0)}
    return {"socket_timeout": 30, "socket_connect_timeout": 5}


@contextmanager
def embedded_server(settings: Settings) -> Iterator[str]:
    """Run the embedded server of the home while the block runs; gives its URL.

    A server that ends in good order forgets nothing. The word of its end lies in the storage, too: its own files may be
    put back as they were some time ago.

    Raises:
        StoreUnavailableError: it does not come up.
        ValidationError: another user could have prepared the home.
    """
    server, storage = EmbeddedServer(settings.home), FolderStorage(settings.home)
    url = server.start()
    store = open_store(msgspec.structs.replace(settings, redis_url=url))
    try:
        if server.owned and (word := _take_word(storage)):
            with suppress(StoreUnavailableError):  # then all is in doubt
                store.go_on(word)
        yield url
    finally:
        word = _tell_the_end(store) if server.owned else None
        server.stop()
        if word is not None and server.ended_in_order:
            with storage.write(_ENDED) as stream:
                stream.write(word.encode())


def _tell_the_end(store: RedisStore) -> str | None:
    word = secrets.token_hex(16)
    try:
        store.end_run(word)
    except StoreUnavailableError:
        return None
    finally:
        store.close()
    return word


def _take_word(storage: FolderStorage) -> str | None:
    """The word of the last server's end in good order; it counts once."""
    try:
        with storage.open(_ENDED) as stream:
            word = stream.read(_LONGEST_WORD).decode(errors="replace")
        storage.delete(_ENDED)
    except FileOperationError:
        return None
    return word


def open_context(
    settings: Settings, store: Store | None = None, providers: Mapping[str, Provider] | None = None
) -> Context:
    """What the steps of this process work with.

    Args:
        settings: of this process.
        store: by default the one that the settings name.
        providers: objects to use in place of those that are installed; may grow later.

    Raises:
        StoreUnavailableError: there is no store.
        ValidationError: a setting is wrong.
    """
    store = store or open_store(settings)
    return Context(
        settings=settings,
        store=store,
        storage=FolderStorage(settings.home),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        clients=Clients(settings, providers),
        keeper=LeaseKeeper(store, lease=settings.lease, every=settings.renew_every),
        prices=read_prices(settings.prices),
    )
