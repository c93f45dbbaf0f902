"""What a worker takes from its queues: messages of our tasks. It drops all others, and does not log their contents."""

from collections.abc import Callable
from typing import Any

from celery.worker import consumer
from kombu.message import Message

from ..security.logs import get_logger
from .leftovers import end_leftovers
from .sweep import start_sweep

log = get_logger(__name__)

# At most this much of an unknown task's name is logged.
_LONGEST_NAME = 80


class Consumer(consumer.Consumer):
    """Celery's consumer. It would log a message that it cannot use with its arguments, which are another app's."""

    def on_ready(self) -> None:
        """The worker takes messages; after a lost connection that happens again."""
        is_first = self.init_callback is not None
        super().on_ready()
        if is_first:
            start_sweep(str(self.hostname), self.app.amqp.queues)
            end_leftovers()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], Any]:
        """What is called with each message."""
        handle: Callable[[Message], Any] = super().create_task_handler(*args, **kwargs)

        def receive(message: Message) -> Any:
            _hide_rows(message)
            return handle(message)

        return receive

    def on_unknown_task(self, body: Any, message: Message, exc: Exception) -> None:  # noqa: ARG002
        """The message is of a task that we do not have."""
        task = str(message.headers.get("task"))[:_LONGEST_NAME]
        log.warning("action=message_dropped reason=not_our_task task=%r", task)
        message.reject_log_error(log, self.connection_errors)

    def on_unknown_message(self, body: Any, message: Message) -> None:  # noqa: ARG002
        """The message names no task."""
        log.warning("action=message_dropped reason=no_task")
        message.reject_log_error(log, self.connection_errors)

    def on_invalid_task(self, body: Any, message: Message, exc: Exception) -> None:  # noqa: ARG002
        """The message is not as Celery's protocol has it."""
        log.warning("action=message_dropped reason=invalid error=%s", type(exc).__name__)
        message.reject_log_error(log, self.connection_errors)

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """The body of the message cannot be read."""
        log.warning("action=message_dropped reason=unreadable error=%s", type(exc).__name__)
        message.ack()


def _hide_rows(message: Message) -> None:
    """A batch that another app submits by name has its rows in the message; logs and Flower would show these two."""
    if isinstance(message.headers, dict) and message.headers.get("task") == "batch_router.submit_batch":
        message.headers |= {"argsrepr": "...", "kwargsrepr": "..."}
