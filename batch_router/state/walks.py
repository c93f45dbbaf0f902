"""What a walk through an account's jobs found, for all shards that look for theirs."""

from typing import NamedTuple

from ..core.jobs import Job


class Walk(NamedTuple):
    """A walk that came to its end.

    Attributes:
        began_at: by the store's clock; what the provider listed then is in it.
        since: jobs of batches that were submitted before may be missing (seconds since 1970, by the store's clock).
        jobs: those that were asked for.
    """

    began_at: float
    since: float
    jobs: tuple[Job, ...] = ()


#: Seconds for which a walk is kept; those who wait for it come within minutes.
KEPT_FOR = 3600.0

#: Labels of an account's jobs that are remembered, and for how many seconds: providers keep results for 29 days.
MOST_LABELS, LABELS_KEPT_FOR = 100_000, 30 * 86_400.0
