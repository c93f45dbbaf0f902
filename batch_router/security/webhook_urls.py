"""The addresses that webhooks may be sent to."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ..exceptions import ValidationError
from .addresses import is_public

#: Where a setting of the worker lets a webhook go that is refused otherwise.
PRIVATE: Final = "BATCH_ROUTER_WEBHOOK_PRIVATE=true"
_URL: Final = re.compile("[!-~]{1,2048}")


def check_webhook(url: str, *, private: bool) -> None:
    """Refuse a URL that no webhook is sent to; what its host resolves to is checked when a worker connects.

    Args:
        url: as the user gave it. Its path and its query may be secret, so that no error shows them.
        private: whether `http` and private addresses are allowed.

    Raises:
        ValidationError: says what is wrong, and what to do.
    """
    scheme, host = _parts(url)
    if scheme not in ("https", "http") or not host:
        raise ValidationError("webhook: the URL does not begin with https:// and a host")
    if private:
        return
    if scheme != "https":
        raise ValidationError(f"webhook: the URL begins with http://; use https://, or allow it with {PRIVATE}")
    if _is_private(host):
        raise ValidationError(f"webhook: the host has no public address; allow such with {PRIVATE}")


def place_of(url: str) -> str:
    """The part of a URL that may be shown: no path and no query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _parts(url: str) -> tuple[str, str | None]:
    if not _URL.fullmatch(url):
        raise ValidationError("webhook: a URL has 1 to 2,048 printable ASCII characters, and no spaces")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise ValidationError("webhook: this is no URL; write https://host/path") from None
    if "@" in parts.netloc:
        raise ValidationError("webhook: the URL has a user or a password; leave them out: webhooks are signed")
    return parts.scheme, parts.hostname


def _is_private(host: str) -> bool:
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return host.rstrip(".") == "localhost"
