"""The exit codes of `batch-router`."""

from enum import IntEnum


class ExitCode(IntEnum):
    """One meaning each; `docs/cli.md` has the same table."""

    OK = 0  # all rows succeeded, or the batch was submitted
    FOUND_SOMETHING = 1  # doctor, health, results --verify, or webhook test
    USAGE = 2  # usage or bad input; nothing was sent
    UNANSWERED = 3  # finished, and some rows have no answer
    BATCH_FAILED = 4
    NOT_FINISHED = 5  # not finished, or parked
    NO_STORE = 6  # Redis cannot be reached, or no worker listens
    INTERRUPTED = 130
