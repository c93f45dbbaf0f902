"""The one address that a client sends to."""

import httpx2

from ...exceptions import ProviderUnavailableError
from ...security.masking import mask_url
from ...security.printable import printable
from .refused import NotSentError

_SHOWN = 100


class Address:
    """Where a service is. Requests go below it and nowhere else, whatever an SDK makes of a provider's answers.

    Args:
        provider: the provider's name.
        base_url: an `http://` or `https://` URL; may have a user and a password.

    Attributes:
        provider: its name.
        url: the base URL without user and password: clients show their requests' URLs in logs and errors.
        login: user and password.

    Raises:
        ProviderUnavailableError: it is no such URL; jobs wait until it is set right.
    """

    def __init__(self, provider: str, base_url: str) -> None:
        url = _parse(base_url)
        if url is None or url.scheme not in ("http", "https") or not url.host:
            message = f"the base URL {mask_url(base_url)!r} does not begin with https:// or http:// and a host"
            raise ProviderUnavailableError(provider, 0, message)
        self.provider = provider
        self.login = (url.username, url.password) if url.userinfo else None
        self.url = str(url.copy_with(username=None, password=None))
        self._origin = _origin(url)
        self._path = f"{url.path.rstrip('/')}/"

    def check(self, url: httpx2.URL) -> None:
        """Make sure that a request goes to the service.

        Raises:
            NotSentError: it would go elsewhere; says where.
        """
        if _origin(url) != self._origin:
            where = _quote(_place(url))
            raise NotSentError(f"a request to {where} was not sent: the base URL is at {_place(httpx2.URL(self.url))}")
        # Decoded: `%2e%2e` and `%2f` are taken for what they mean, too.
        below = url.path.removeprefix(self._path)
        if not url.path.startswith(self._path) or not {"", ".", ".."}.isdisjoint(below.split("/")):
            raise NotSentError(f"a request was not sent: its path {_quote(url.path)} is not one below the base URL")


def _parse(url: str) -> httpx2.URL | None:
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL:
        return None


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _place(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _quote(text: str) -> str:
    return f"'{printable(text, _SHOWN)}'"
