"""A job that runs in this process: its progress, and whether it must end."""

import threading
from pathlib import Path

from ...exceptions import JobInterruptedError
from .errors import NAME


class JobControl:
    """Shared between the thread that runs a job and the threads that look at it.

    Args:
        cancel: the file that exists once the job is cancelled.

    Attributes:
        completed: rows that have an answer.
    """

    def __init__(self, cancel: Path) -> None:
        self.completed = 0
        self._cancel = cancel
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """Make the job end soon; another worker continues it."""
        self._interrupted.set()

    def should_end(self) -> bool:
        """Whether the job is cancelled or interrupted."""
        return self._interrupted.is_set() or self._cancel.exists()

    def raise_if_interrupted(self) -> None:
        """A job that was interrupted, and not cancelled, is not over.

        Raises:
            JobInterruptedError: another worker continues it.
        """
        if self.should_end() and not self._cancel.exists():
            raise JobInterruptedError(NAME, 0, "the worker was stopped; another one continues with the rows left")
