"""The provider's clock: the times of its jobs and files are by that one, and ours may be off."""

import time
from email.utils import parsedate_to_datetime

import httpx2


class ProviderClock:
    """Tells a provider's time, as the header `Date` of its last answer said it."""

    def __init__(self) -> None:
        self._heard: tuple[float, float] | None = None

    def hear(self, answer: httpx2.Response) -> None:
        """Take the time of an answer; one without a time, or with nonsense in its place, changes nothing."""
        try:
            said = parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return
        self._heard = said, time.monotonic()

    def now(self) -> float:
        """Seconds since 1970: by that clock or by ours, whichever is behind. So nothing seems older than it is."""
        ours = time.time()
        if self._heard is None:
            return ours
        said, at = self._heard
        return min(ours, said + time.monotonic() - at)
