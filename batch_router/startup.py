"""What must hold before a worker starts: settings that fit together, and a server that keeps what it is given."""

import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

from .connect import open_store
from .exceptions import StoreUnavailableError, ValidationError
from .road.sending import MARGIN
from .security.logs import get_logger
from .settings import PREFIX, Settings
from .state.redis_border import is_forbidden
from .state.redis_server import ServerInfo

log = get_logger(__name__)

#: kombu asks for `ZRANGE ... BYSCORE` and `ZADD ... GT`, which came with this version; a test holds all commands to it.
OLDEST = (6, 2)

# No worker listens on it: a real call of the script that writes.
_PROBE = "probe"
_PAUSE = 2.0


def check_settings(settings: Settings) -> None:
    """Refuse settings with which no job could be created.

    Raises:
        ValidationError: says why, and what to set.
    """
    least = settings.renew_every + MARGIN
    if settings.lease <= least:
        raise ValidationError(
            f"BATCH_ROUTER_LEASE is {settings.lease:g}, and must be more than {least:g}: rows are sent only while the"
            f" lease holds for {MARGIN:g} s more, and it is renewed every {settings.renew_every:g} s"
            " (BATCH_ROUTER_RENEW_EVERY)"
        )


def check_base_urls(settings: Settings) -> None:
    """Refuse base URLs that are none. A fleet's workers start with them, for the sake of other providers.

    Raises:
        ValidationError: names the variable, and nothing of the URL, which may have a password.
    """
    for name, url in settings.base_urls.items():
        if not _is_service(url):
            variable = f"{PREFIX}{name.upper()}_BASE_URL"
            raise ValidationError(f"{variable} is not the URL of a service, such as https://host:8000/v1")


def _is_service(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_server(settings: Settings) -> ServerInfo:
    """Ask the state's server what it is, and write something by the script.

    Raises:
        ValidationError: no worker could work with it; says why.
        StoreUnavailableError: it does not answer, or refuses commands at present.
    """
    with closing(open_store(settings)) as store:
        try:
            server = store.server()
            store.announce(_PROBE, [_PROBE], ttl=0.001)
        except StoreUnavailableError as error:
            if is_forbidden(error.__cause__):
                raise ValidationError(f"{error}; docs/architecture.md lists what a user of it needs") from error
            raise
    for refused in (_too_old(server), _evicts(server)):
        if refused:
            raise ValidationError(refused)
    return server


def _too_old(server: ServerInfo) -> str | None:
    oldest = ".".join(map(str, OLDEST))
    return f"{server.name} is too old: {oldest} is the oldest that works" if server.version < OLDEST else None


def _evicts(server: ServerInfo) -> str | None:
    if not server.evicts:
        return None
    return f"{server.name} has maxmemory-policy {server.eviction}: an evicted key is a lost batch; set noeviction"


def check_worker(settings: Settings, wait: Callable[[float], None] = time.sleep) -> None:
    """Refuse to start a worker that could not work; wait for a server that is away.

    Raises:
        ValidationError: says why.
    """
    check_settings(settings)
    while True:
        try:
            server = check_server(settings)
        except StoreUnavailableError as error:
            log.warning("action=waiting error=%s", error)
            wait(_PAUSE)
            continue
        break
    if not server.keeps:
        log.error("AOF IS OFF: a restart of %s forgets all batches; set appendonly yes", server.name)
