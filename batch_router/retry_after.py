"""The header `Retry-After`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def read_retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The seconds that `Retry-After` asks for: a number or a date; None for nonsense and for the past.

    A date is compared to the `Date` of the same answer, if there is one, because our clock may be off.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            sent = parsedate_to_datetime(headers["date"]) if "date" in headers else now or datetime.now(UTC)
            seconds = (parsedate_to_datetime(value) - sent).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if 0 <= seconds < float("inf") else None
