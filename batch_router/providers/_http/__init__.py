"""What the clients over HTTP have in common; each client adds its SDK's calls and its provider's vocabulary."""

from .address import Address
from .answers import Answers, Counts, fields_of, is_name
from .clock import ProviderClock
from .errors import Errors, Refusal
from .lines import LineJoiner
from .paging import unless_ended, walk_pages, younger_than
from .proxies import proxy_of
from .transport import open_client

__all__ = [
    "Address",
    "Answers",
    "Counts",
    "Errors",
    "LineJoiner",
    "ProviderClock",
    "Refusal",
    "fields_of",
    "is_name",
    "open_client",
    "proxy_of",
    "unless_ended",
    "walk_pages",
    "younger_than",
]
