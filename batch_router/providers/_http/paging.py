"""Walking a provider's lists, newest first, and cancelling what is in them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...core.jobs import Job
from ...exceptions import ProviderAPIError
from .clock import ProviderClock
from .errors import Errors

#: Seconds for which a job counts as younger than its time says: the clocks of one provider differ, too.
CLOCK_SKEW = 600.0

# Not every service lists the newest first. So many older ones in a row are the end of what may be newer.
_MOST_OLDER = 300

# How the providers refuse to cancel a job that has ended.
_ENDED_ALREADY = (400, 409)

# A million objects, of a hundred per page: more jobs than any account has made since one of ours.
_MOST_PAGES = 10_000

Page = dict[str, Any]


def walk_pages(
    errors: Errors[Any],
    fetch: Callable[[str | None], Page],
    field: str,
    following: Callable[[Page, list[Page]], str | None],
) -> Iterator[dict[str, Any]]:
    """All objects of a list that comes in pages.

    Args:
        errors: makes the error of a list that has no end.
        fetch: asks for the page at a cursor; None: the first.
        field: where a page has its objects.
        following: the cursor of the page after this one, from the page and its objects; None: it is the last.

    Raises:
        ProtocolError: a page is followed by one that was there before, or by too many.
    """
    cursor: str | None = None
    seen = {cursor}
    while len(seen) <= _MOST_PAGES:
        page = fetch(cursor)
        objects = page.get(field)
        found = [each for each in objects if isinstance(each, dict)] if isinstance(objects, list) else []
        yield from found
        cursor = following(page, found)
        if cursor is None:
            return
        if cursor in seen:
            raise errors.protocol(f"lists the page {errors.quote(cursor)} twice")
        seen.add(cursor)
    raise errors.protocol(f"lists more than {_MOST_PAGES:,} pages")


def younger_than(
    age: float,
    newest_first: Iterator[dict[str, Any]],
    created_at: Callable[[dict[str, Any]], float | None],
    clock: ProviderClock,
) -> Iterator[dict[str, Any]]:
    """The objects that may not be older than `age` seconds.

    Args:
        age: by whichever clock; it is counted back from the provider's present time.
        newest_first: a list of the provider's, more or less in that order.
        created_at: when an object of it was created, in seconds since 1970; None, if it does not say: it may be newer.
        clock: the provider's.
    """
    older, since = 0, None
    for each in newest_first:
        since = clock.now() - age - CLOCK_SKEW if since is None else since  # the first page has told the time
        at = created_at(each)
        if at is None or at >= since:
            older = 0
            yield each
        elif (older := older + 1) >= _MOST_OLDER:
            return


@contextmanager
def unless_ended(look: Callable[[], Job]) -> Iterator[None]:
    """Ignore that a cancel is refused, if the job (as `look` finds it) has ended already."""
    try:
        yield
    except ProviderAPIError as error:
        if error.status_code not in _ENDED_ALREADY or not look().status.is_final:
            raise
