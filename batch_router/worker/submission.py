"""The task that apps call. It submits in the caller's process: bad input raises there, a lost message loses nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from celery import Task
from celery.exceptions import Ignore
from celery.result import AsyncResult

from ..exceptions import ValidationError
from ..intake.mistakes import takes_provider
from ..intake.options import SubmitOptions
from ..operations.submit import submit
from ..security.logs import get_logger
from ..state.base import Hint
from .messages import read_submission
from .process import context
from .routing import publish

log = get_logger(__name__)


class SubmittedBatch(AsyncResult):
    """A batch as Celery's result.

    Attributes:
        id: the batch id.
    """

    id: str

    def get(self, timeout: float | None = None, **options: Any) -> dict[str, Any]:
        """Wait until the batch has ended.

        Args:
            timeout: seconds; None: for ever.
            options: those of Celery's `AsyncResult.get`.

        Returns:
            The manifest: its parts, their counts and hashes.

        Raises:
            BatchExpiredError: it was cancelled when its own `timeout` was over; what was answered is there.
            BatchFailedError: it ended without a single answer.
            celery.exceptions.TimeoutError: it had not ended after `timeout`.
        """
        manifest: dict[str, Any] = super().get(timeout=timeout, **options)
        return manifest


class SubmitTask(Task):
    """See `submit_batch`."""

    abstract = True
    Request = "batch_router.worker.request:Request"

    @takes_provider
    def delay(self, provider: str, **options: Unpack[SubmitOptions]) -> SubmittedBatch:
        """Submit a batch.

        Args:
            provider: whose API the requests go to.
            options: the rows (`requests` or `input`) and what concerns all of them: see `SubmitOptions`.

        Raises:
            ValidationError: says what is wrong and what to do; nothing was stored.
            StoreUnavailableError: the store does not answer.
        """
        return self.apply_async((provider,), options)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> SubmittedBatch:
        """Check the arguments, store the batch, then send the first message.

        Args:
            args: of `delay`.
            kwargs: of `delay`.
            task_id: becomes the batch id.
            options: none that changes what happens is taken.
        """
        refused = sorted(name for name, value in options.items() if value and name not in ("route_name", "shadow"))
        if refused:
            raise ValidationError(f"submit_batch takes no option {refused[0]!r}: it runs in the caller's process")
        given = {"batch_id": task_id} if task_id else {}
        hint = submit_batch(*(args or ()), **{**given, **(kwargs or {})})
        publish(hint)
        return self.AsyncResult(hint.id)

    def AsyncResult(self, task_id: str, **options: Any) -> SubmittedBatch:  # noqa: N802 - Celery's name
        """The result of a batch that was submitted earlier."""
        return SubmittedBatch(task_id, app=self.app, **options)


def submit_from_message(task: Task, submission: str) -> None:
    """Submit a batch in a worker, for `send_task("batch_router.submit_batch", ...)`.

    That is weaker than `delay`: the rows travel through the broker, and `status` does not know the batch until a worker
    has taken the message. A file is not read: it would be the worker's, not the sender's. What cannot be submitted is
    dropped, and the log does not repeat it.
    """
    try:
        if context().store.get_batch(task.request.id) is None:
            publish(submit_batch(**{"batch_id": task.request.id, **read_submission(submission)}))
    except Exception as error:
        log.warning("action=submission_dropped task=%s error=%s", task.request.id, type(error).__name__)
    raise Ignore


@takes_provider
def submit_batch(provider: str, **options: Unpack[SubmitOptions]) -> Hint:
    """Submit with the arguments of `delay`, wherever they come from; a message must follow."""
    return submit(context(), provider, options, message_follows=True)
