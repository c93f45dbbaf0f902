"""Secrets, kept out of errors, logs, representations and reports."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

MASK: Final = "***"

# Shorter texts than this stand in ordinary words, and are no secrets worth the name.
_SHORTEST = 6
# Names of variables, options and parameters whose values are secret.
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|SIGNATURE|_URL$", re.IGNORECASE)


def mask(text: str, *secrets: str | None) -> str:
    """The text without these secrets."""
    for secret in secrets:
        if secret and len(secret) >= _SHORTEST:
            text = text.replace(secret, MASK)
    return text


def mask_url(url: str) -> str:
    """A URL without its user, password, query and fragment, each of which may be or hold a secret.

    One that cannot be taken apart is masked whole: an unescaped password moves the borders of its parts.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        _ = parts.port  # raises where it is no number
    except ValueError:
        return MASK
    if "://" not in url or "@" in parts.path:
        return MASK
    user = f"{MASK}@" if "@" in parts.netloc else ""
    query = MASK if parts.query else ""
    return urlunsplit((parts.scheme, user + host, parts.path, query, ""))


def is_secret_name(name: str) -> bool:
    """Whether what is called so is probably a secret: `OPENAI_API_KEY`, `BATCH_ROUTER_REDIS_URL`, `hf-token`."""
    return _SECRET_NAME.search(name) is not None
