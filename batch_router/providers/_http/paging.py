"""Walking a provider's lists, newest first, and cancelling what is in them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from ...core.jobs import Job
from ...exceptions import ProviderAPIError

#: A job may carry a time stamp this many seconds older than the clock that wrote our intent.
CLOCK_SKEW = 600.0

# How the providers refuse to cancel a job that has ended.
_ENDED_ALREADY = (400, 409)

Page = dict[str, Any]


def walk_pages(
    fetch: Callable[[str | None], Page], field: str, following: Callable[[Page, list[Page]], str | None]
) -> Iterator[dict[str, Any]]:
    """All objects of a list that comes in pages.

    Args:
        fetch: asks for the page at a cursor; None: the first.
        field: where a page has its objects.
        following: the cursor of the page after this one, from the page and its objects; None: it is the last.
    """
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        found = [each for each in page.get(field) or () if isinstance(each, dict)]
        yield from found
        cursor = following(page, found)
        if cursor is None:
            return


def newest_until(
    since: float, newest_first: Iterator[dict[str, Any]], created_at: Callable[[dict[str, Any]], float]
) -> Iterator[dict[str, Any]]:
    """The objects that may have been created at `since` or later, whatever the provider's clock is worth.

    Args:
        since: seconds since 1970.
        newest_first: a list of the provider's.
        created_at: when an object of it was created, in seconds since 1970.
    """
    return takewhile(lambda each: created_at(each) >= since - CLOCK_SKEW, newest_first)


@contextmanager
def unless_ended(look: Callable[[], Job]) -> Iterator[None]:
    """Ignore that a cancel is refused, if the job (as `look` finds it) has ended already."""
    try:
        yield
    except ProviderAPIError as error:
        if error.status_code not in _ENDED_ALREADY or not look().status.is_final:
            raise
