"""What the clients over HTTP have in common; each client adds its SDK's calls and its provider's vocabulary."""

from .answers import Answers, seconds_of
from .errors import Errors, Refusal
from .lines import LineJoiner
from .pace import keep_pace
from .paging import newest_until, unless_ended, walk_pages
from .retry_after import read_retry_after

__all__ = [
    "Answers",
    "Errors",
    "LineJoiner",
    "Refusal",
    "keep_pace",
    "newest_until",
    "read_retry_after",
    "seconds_of",
    "unless_ended",
    "walk_pages",
]
