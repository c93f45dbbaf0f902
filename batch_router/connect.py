"""From settings to a working context: which Redis, which storage, who we are."""

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import redis

from .embedded import running_url
from .exceptions import StoreUnavailableError, ValidationError
from .providers import Provider
from .road.context import Clients, Context
from .road.lease import LeaseKeeper
from .security.files import check_home
from .settings import Settings
from .state.base import Store
from .state.redis import RedisStore
from .storage import FolderStorage


def state_url(settings: Settings) -> str:
    """Where the state is: the Redis of the settings, or the embedded server that runs here.

    Raises:
        StoreUnavailableError: there is neither.
        ValidationError: the setting is not the URL of a Redis database, or another user could have prepared the home.
    """
    if settings.redis_url:
        return _checked("BATCH_ROUTER_REDIS_URL", settings.redis_url, ("redis", "rediss", "unix"))
    url = running_url(settings.home)
    if url is None:
        raise StoreUnavailableError(
            f"no Redis: `batch-router up` starts one in {settings.home}, or set BATCH_ROUTER_REDIS_URL"
        )
    return url


def broker_url(settings: Settings) -> str:
    """Where the messages are: by default the next database of the state's server, so that they can be wiped alone."""
    if settings.broker_url:
        return _checked("BATCH_ROUTER_BROKER_URL", settings.broker_url, ("redis", "rediss"))
    parts = urlsplit(state_url(settings))
    if parts.scheme not in ("redis", "rediss"):
        raise ValidationError(
            "BATCH_ROUTER_BROKER_URL: needed where BATCH_ROUTER_REDIS_URL is not redis:// or rediss://"
        )
    database = int(parts.path.strip("/") or 0)
    return urlunsplit(parts._replace(path=f"/{database + 1}"))


def _checked(variable: str, url: str, schemes: tuple[str, ...]) -> str:
    """The URL, if it is that of a Redis database. The error does not show it: it may hold a password."""
    try:
        redis.Redis.from_url(url)  # connects to nothing
        scheme, _, path, *_ = urlsplit(url)
        number = 0 if scheme == "unix" else int(path.strip("/") or 0)
    except ValueError:
        scheme, number = "", 0
    if scheme not in schemes or number < 0:
        known = ", ".join(f"{each}://" for each in schemes)
        raise ValidationError(f"{variable} is not the URL of a Redis database, such as redis://host:6379/0 ({known})")
    return url


def open_broker(settings: Settings) -> "redis.Redis":
    """The broker's database as keys; its messages are for Celery."""
    return redis.Redis.from_url(broker_url(settings), socket_timeout=30, socket_connect_timeout=5)


def queue_key(settings: Settings, queue: str) -> str:
    """The key of a queue in the broker's database: a list of messages."""
    return f"{settings.prefix}.{queue}"


def open_store(settings: Settings) -> RedisStore:
    """The store of the settings; connects when it is first used."""
    client = redis.Redis.from_url(
        state_url(settings),
        decode_responses=True,
        socket_timeout=30,
        socket_connect_timeout=5,
        health_check_interval=25,
    )
    return RedisStore(client, prefix=f"{settings.prefix}:")


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
        ValidationError: another user could have prepared the home, or a setting is wrong.
    """
    check_home(settings.home)
    store = store or open_store(settings)
    return Context(
        settings=settings,
        store=store,
        storage=FolderStorage(settings.home),
        worker=f"{socket.gethostname()}:{os.getpid()}",
        clients=Clients(settings, providers),
        keeper=LeaseKeeper(store, lease=settings.lease, every=settings.renew_every),
    )
