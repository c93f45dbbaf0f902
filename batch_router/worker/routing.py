"""How the message for an item is made."""

from celery import chain
from celery.canvas import Signature
from kombu.exceptions import OperationalError

from ..road.queues import queue_of
from ..security.logs import get_logger
from ..state.base import Hint
from ..state.table import remaining_road
from .app import app

log = get_logger(__name__)


def task_id(hint: Hint) -> str:
    """The id of the task of an item's next step: Flower and `celery inspect` show which item it is about."""
    return f"{hint.id}-v{hint.version}"


def publish(hint: Hint, countdown: float = 0) -> None:
    """Send the message for an item: a chain of its remaining steps.

    Without a broker nothing is lost: the sweep sends the message later.
    """
    states = remaining_road(hint.state)
    first = _signature(hint, args=([hint.id, hint.version],))
    first.set(argsrepr=f"{hint.id} v{hint.version}", task_id=task_id(hint))
    rest = [_signature(hint._replace(state=state)) for state in states[1:]]
    try:
        chain(first, *rest).apply_async(countdown=countdown)
    except OperationalError as error:
        log.warning("action=publish_failed item=%s error=%s", hint.id, type(error).__name__)


def _signature(hint: Hint, args: tuple[object, ...] = ()) -> Signature:
    return app.signature(f"batch_router.{hint.state.step}", args=args, queue=queue_of(hint))
