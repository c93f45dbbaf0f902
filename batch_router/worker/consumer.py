"""What a worker takes: messages of our tasks, as `messages` made them, and commands that look or cancel a batch."""

import time
from collections.abc import Callable
from typing import Any, ClassVar

import redis
from celery.utils.functional import maybe_list
from celery.worker import consumer
from celery.worker.consumer import control
from celery.worker.control import Panel
from kombu.message import Message

from ..exceptions import BatchRouterError
from ..security.logs import get_logger
from ..security.names import BATCH_ID
from .leftovers import end_leftovers
from .process import context
from .sweep import start_sweep

log = get_logger(__name__)

# Seconds until a server that refused a command is asked again.
_PAUSE = 1.0

# Messages for later that a worker holds in memory. The sweep sends again what is dropped.
_MOST_WAITING = 10_000

#: Commands of remote control that are obeyed: they show something, and change nothing but whether events are sent.
LOOKING = frozenset(
    "ping stats active reserved scheduled registered revoked active_queues query_task conf report clock"  # noqa: SIM905
    " enable_events disable_events heartbeat".split()
)


class Consumer(consumer.Consumer):
    """Celery's consumer."""

    class Blueprint(consumer.Consumer.Blueprint):
        """Celery's parts, with our remote control."""

        default_steps: ClassVar = [
            "batch_router.worker.consumer:Control" if step.endswith(":Control") else step
            for step in consumer.Consumer.Blueprint.default_steps
        ]

    def __init__(self, *args: Any, **options: Any) -> None:
        """Without what workers tell each other at the start (mingle) and later (gossip): the store knows all of it."""
        super().__init__(*args, **{**options, "without_mingle": True, "without_gossip": True})

    def on_ready(self) -> None:
        """The worker takes messages; after a lost connection that happens again."""
        is_first = self.init_callback is not None
        super().on_ready()
        if is_first:
            start_sweep(str(self.hostname), self.app.amqp.queues)
            end_leftovers()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Celery connects again at once; a server that refuses writes would be asked many times a second."""
        super().on_connection_error_after_connected(exc)
        if isinstance(exc, redis.ResponseError):
            time.sleep(_PAUSE)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], Any]:
        """What is called with each message."""
        handle: Callable[[Message], Any] = super().create_task_handler(*args, **kwargs)

        def receive(message: Message) -> Any:
            if message.headers["eta"] and len(self.timer.schedule) >= _MOST_WAITING:
                log.warning("action=message_dropped reason=too_many_wait")
                return message.reject_log_error(log, self.connection_errors)
            return handle(message)

        return receive


class Control(control.Control):
    """Remote control: `celery inspect`, Flower's pages, and `revoke` of batches. No message ends a worker."""

    name = "Control"

    def __init__(self, consumer: Consumer, **options: Any) -> None:
        """See `LOOKING`."""
        super().__init__(consumer, **options)
        handlers = {name: do if name in LOOKING else _refusal(name) for name, do in Panel.data.items()}
        self.box.node.handlers = handlers | {"revoke": _cancel}


def _cancel(_state: object, task_id: str | list[str], **_: object) -> dict[str, str]:
    """Cancel batches; each worker hears of it, and the store takes it once. Ids of other tasks mean nothing."""
    ids = [each for each in maybe_list(task_id) if BATCH_ID.fullmatch(each)]
    try:
        cancelled = [each for each in ids if context().store.cancel(each)]
    except BatchRouterError as error:
        return {"error": str(error)}
    log.info("action=revoked batches=%s", ",".join(cancelled) or None)
    return {"ok": f"{len(cancelled)} batches are being cancelled"}


def _refusal(name: str) -> Callable[..., dict[str, str]]:
    def refuse(_state: object, **_: object) -> dict[str, str]:
        log.warning("action=control_refused command=%s", name)
        return {"error": f"{name} is refused: remote control only looks, or cancels a batch; send the worker SIGTERM"}

    return refuse
