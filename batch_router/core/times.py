"""Times as users see them."""

from datetime import UTC, datetime


def iso_time(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(moment: str) -> float:
    """Seconds since 1970 of such a time.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(moment).timestamp()
