"""Values from outside as the records hold them: whatever the type they come in, and None where they mean nothing.

Providers, gateways before them and packages that add providers write counts and times as numbers or as texts, and words
for a job's status in many spellings.
"""

import re
from datetime import UTC, datetime
from typing import Final

from .enums import BatchStatus

# No job has more rows, and no file more bytes.
_HIGHEST_COUNT = 10**12
# Seconds since 1970: the year 5138. Larger numbers are milliseconds.
_LATEST = 1e11
_LONGEST_LABEL = 200
_LONGEST_NUMBER = 30
# Of both kinds, and not infinite.
_LARGEST_NUMBER = 1e15

# What stands before the word in `BATCH_STATE_RUNNING` and `JOB_STATE_RUNNING`.
_PREFIX = re.compile(r"^(?:[a-z0-9]+_)*(?:state|status)_")
_SPELLING = str.maketrans("- .", "___")

_V, _R, _X, _OK, _BAD, _GONE, _LATE = (
    BatchStatus.VALIDATING,
    BatchStatus.IN_PROGRESS,
    BatchStatus.CANCELLING,
    BatchStatus.COMPLETED,
    BatchStatus.FAILED,
    BatchStatus.CANCELLED,
    BatchStatus.EXPIRED,
)
#: What the words of all providers and of services with the same wire mean; a word that may mean two things is none.
STATUSES: Final = {
    **dict.fromkeys(("validating", "queued", "pending", "created", "submitted", "scheduled", "unspecified"), _V),
    **dict.fromkeys(("not_started", "initializing", "accepted", "received", "new"), _V),
    **dict.fromkeys(("in_progress", "running", "processing", "started", "active", "updating"), _R),
    **dict.fromkeys(("finalizing", "finalising", "finishing", "completing"), _R),
    **dict.fromkeys(("cancelling", "canceling", "cancel_requested"), _X),
    **dict.fromkeys(("completed", "complete", "succeeded", "success", "successful", "done", "ended", "finished"), _OK),
    **dict.fromkeys(("partially_succeeded", "partially_completed", "completed_with_errors"), _OK),
    **dict.fromkeys(("failed", "failure", "error", "errored"), _BAD),
    **dict.fromkeys(("cancelled", "canceled"), _GONE),
    **dict.fromkeys(("expired", "timed_out"), _LATE),
}


def count_of(value: object) -> int | None:
    """A count, which may be a float or a text: Google's JSON has texts. None: it is none."""
    number = _number_of(value)
    return int(number) if number is not None and number <= _HIGHEST_COUNT else None


def moment_of(value: object) -> float | None:
    """Seconds since 1970, of a number (of seconds or milliseconds), of a text of one, or of RFC 3339. None: neither."""
    number = _number_of(value)
    if number is not None:
        seconds = number if number <= _LATEST else number / 1000
        return seconds if seconds <= _LATEST else None
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value.strip().upper())
        return _number_of((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def label_of(value: object) -> str | None:
    """A label; none of ours is as long as a text can be, or has what cannot be shown."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_LABEL and value.isprintable():
        return value
    return None


def status_of(word: object) -> BatchStatus | None:
    """What a word for a job's status means, however it is spelt: `IN_PROGRESS`, `in-progress`, `JOB_STATE_RUNNING`."""
    if not isinstance(word, str):
        return None
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word.strip()[:_LONGEST_LABEL]).lower()
    plain = plain.translate(_SPELLING)
    return STATUSES.get(plain) or STATUSES.get(_PREFIX.sub("", plain))


def _number_of(value: object) -> float | None:
    """A number that is neither negative nor beyond all bounds."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= _LARGEST_NUMBER else None
