"""What a client has access to: one service, with one key."""

import secrets
from functools import cache, cached_property, lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..core.jobs import Account, digest_key
from ..security.logs import get_logger

log = get_logger(__name__)

_SALT_BYTES = 16


class Access:
    """The service that a client talks to, and the key that it does so with.

    Args:
        provider: the provider's name.
        url: where the service is; None: the jobs run in this process, so there is no service and no host.
        key: what the service asks for; None: no key.
    """

    def __init__(self, provider: str, url: str | None = None, key: str | None = None) -> None:
        self.service = provider if url is None else f"{provider}@{_host(url)}"
        self._key = key
        # A digest takes tens of milliseconds, and a shard that looks for its job asks at each look.
        self._known = lru_cache(self._compare)
        if url is not None and urlsplit(url).scheme == "http" and not is_this_machine(url):
            _warn_of_plain_text(self.service)

    def __getstate__(self) -> dict[str, object]:
        raise TypeError("a key stays in its process: an Access is not pickled")

    def account(self, credential: str | None) -> Account:
        """The account whose jobs this client sees.

        Args:
            credential: the name of the client's key; None: it is the process's own.
        """
        return Account(service=self.service, credential=credential, key=self._digest)

    def has_key_of(self, account: Account) -> bool:
        """Whether the account was recorded with the key that this client has; keys are replaced now and then."""
        return self._known(account)

    def _compare(self, account: Account) -> bool:
        return account.has_key(self._key)

    @cached_property
    def _digest(self) -> str | None:
        return None if self._key is None else digest_key(self._key, secrets.token_bytes(_SALT_BYTES))


@cache
def _warn_of_plain_text(service: str) -> None:
    """Once in a process; each of its keys has a client."""
    log.warning("%s is called over http://: keys, prompts and answers go through the network unencrypted", service)


def is_this_machine(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    """Host and port, without the user and password that a URL may have."""
    return urlsplit(url).netloc.rpartition("@")[2]
