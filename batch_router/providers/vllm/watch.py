"""A job that runs in this process: how far it is, and whether it is to end."""

import threading
from pathlib import Path

from ...exceptions import JobInterruptedError


class Watch:
    """Shared between the thread that runs a job and those that look at it.

    Attributes:
        completed: rows that have an answer.
    """

    def __init__(self, cancel: Path) -> None:
        self.completed = 0
        self._cancel = cancel
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """Have the job end soon, to be gone on with elsewhere."""
        self._interrupted.set()

    def should_end(self) -> bool:
        """Whether the job is cancelled or interrupted."""
        return self._interrupted.is_set() or self._cancel.exists()

    def end(self) -> None:
        """Leave the job where it is, unless it was cancelled: then it is over.

        Raises:
            JobInterruptedError: somebody else is to go on with it.
        """
        if not self._cancel.exists():
            raise JobInterruptedError("vllm", 0, "the worker was stopped; another one goes on with the rows left")
