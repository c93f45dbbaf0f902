"""Waiting for a batch: when it is looked at, and how it ended."""

import math
import time
from collections.abc import Iterator

from ..core import BatchStatus, BatchStatusResponse
from ..exceptions import BatchExpiredError, BatchFailedError

#: Seconds between the first two looks at a batch that is waited for; the later ones are ever further apart.
FIRST_PAUSE = 0.2
_LONGEST_PAUSE, _GROWTH = 5.0, 1.1  # a pause is about a tenth of the wait so far


def pauses(timeout: float | None, first: float = FIRST_PAUSE) -> Iterator[float]:
    """The seconds to sleep before each look at a batch that is waited for.

    Args:
        timeout: seconds until the last look; None: there is no last one.
        first: seconds between the first look, which is at once, and the second.
    """
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    pause = first
    yield 0
    while (left := deadline - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(pause * _GROWTH, max(first, _LONGEST_PAUSE))


def check_end(status: BatchStatusResponse) -> BatchStatusResponse:
    """The status of a batch that ended in time and has answers.

    Raises:
        BatchExpiredError: it was cancelled when its own `timeout` was over.
        BatchFailedError: it ended without a single answer.
    """
    error = status.error
    if error is not None and error.type == BatchExpiredError.type and status.timeout is not None:
        raise BatchExpiredError(status.batch_id, status.timeout)
    if status.status is BatchStatus.FAILED:
        raise BatchFailedError(status.batch_id, error.to_dict() if error else {})
    return status
