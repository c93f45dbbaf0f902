"""How a task carries its item on: one step of the road, then the next message."""

from celery import Task
from celery.exceptions import Ignore, Retry

from ..exceptions import CorruptItemError, ProviderNotFoundError, SchemaError, StoreUnavailableError, ValidationError
from ..road.advance import LONGEST_COUNTDOWN, Advance, advance
from ..road.context import Context
from ..security.logs import get_logger
from ..state.base import Hint
from ..state.checks import note_unread
from ..state.items import batch_id_of
from .process import context
from .routing import publish, task_id

log = get_logger(__name__)

#: All that a message carries: the id of an item, and the version that it must still have.
ItemVersion = tuple[str, int]


class RoadTask(Task):
    """A step as a task. Its argument and its return value are an `ItemVersion`, so that steps make a chain."""

    abstract = True
    Request = "batch_router.worker.request:Request"
    max_retries = None  # a poll is a retry

    def carry_on(self, message: ItemVersion) -> ItemVersion | None:
        """Take the item one step on, and send the message for the step after it.

        Raises:
            Ignore: the message is stale, or another one goes on in its place.
            Retry: the same step is due again.
        """
        item_id, version = message
        try:
            _check_provider(context(), item_id)
            done = advance(context(), item_id, version)
        except (ProviderNotFoundError, SchemaError) as error:
            log.warning("action=left_alone item=%s error=%s", item_id, error)
            raise Ignore from error
        except CorruptItemError as error:
            log.warning("action=left_alone item=%s error=%s", item_id, error)
            note_unread(context().store, item_id, error)
            raise Ignore from error
        except StoreUnavailableError as error:
            log.warning("action=store_away item=%s error=%s", item_id, error)
            raise Ignore from error
        except ValidationError as error:  # of this worker's settings; a step's own errors end in the item's state
            log.critical("action=refused item=%s error=%s", item_id, error)
            raise Ignore from error
        if done is None:
            raise Ignore
        for hint in done.woken:
            publish(hint)
        following = self._next(done, done.hint) if done.hint else None
        if isinstance(following, Retry):  # raised here, because Celery makes text of each frame that it passes
            raise following
        return following

    def _next(self, done: Advance, hint: Hint) -> ItemVersion | Retry:
        message: ItemVersion = (hint.id, hint.version)
        step = f"batch_router.{hint.state.step}"
        if done.delay > LONGEST_COUNTDOWN:
            raise Ignore  # no message waits that long: the sweep sends one when it is due
        if step == self.name:
            return self._again(message, done.delay)
        following = self.request.chain
        if done.delay == 0 and following and following[-1]["task"] == step:
            following[-1]["options"]["task_id"] = task_id(hint)  # its version was unknown when the chain was made
            return message
        publish(hint, done.delay)
        raise Ignore

    def _again(self, message: ItemVersion, delay: float) -> Retry:
        shown = f"{message[0]} v{message[1]}"
        again: Retry = self.retry(args=(message,), kwargs={}, countdown=delay, argsrepr=shown, throw=False)
        return again


def _check_provider(context: Context, item_id: str) -> None:
    """Claim nothing that needs a provider which only other workers have: the step would give the item up.

    Raises:
        ProviderNotFoundError: the sweep sends the message again, until a worker with the provider takes it.
    """
    batch = context.store.get_batch(batch_id_of(item_id))
    if batch is not None:
        context.clients.provider(batch.provider)
