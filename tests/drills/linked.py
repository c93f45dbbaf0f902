"""What a user's app hears of a batch: tasks at its end, and webhooks. Each at least once, always with the same id.

No worker takes the tasks: they stay in the app's queue, where they are read. Our workers read no queue but their own.
"""

import base64
import json
from typing import TYPE_CHECKING, Any

from celery import Celery

from batch_router.road.notices import PARKED, UNATTENDED
from batch_router.road.webhooks import message_id
from batch_router.state.items import Batch

if TYPE_CHECKING:  # who submits needs no stack
    from .stack import Stack

_QUEUE = "shop"
_SUCCEEDED, _FAILED = "shop.succeeded", "shop.failed"


def links(broker_url: str) -> dict[str, Any]:
    """What the app links to its batch, as options of `apply_async`."""
    shop = Celery("shop", broker=broker_url, set_as_current=False)
    return {name: shop.signature(task, queue=_QUEUE) for name, task in (("link", _SUCCEEDED), ("link_error", _FAILED))}


def wrongly_told(stack: "Stack", batch: Batch) -> list[str]:
    """What is wrong with what the app heard of a batch that has ended."""
    return [*_wrong_tasks(stack, batch), *_wrong_webhooks(stack, batch)]


def _wrong_webhooks(stack: "Stack", batch: Batch) -> list[str]:
    """The events that the store has, each under its one id, and among them the end; those of a parked shard, too."""
    came = [(name, event.to_dict()) for name, event in stack.receiver.messages()]
    ours = {(name, event["type"]) for name, event in came if event["data"]["batch_id"] == batch.id}
    events = [notice.event for notice in stack.store.get_notices(batch) if notice.event is not None]
    made = {(message_id(event), event.type) for event in events}
    was_parked = any(shard.given_up for shard in stack.store.get_shards(batch))
    happened = {f"batch.{batch.state}": True, UNATTENDED: batch.unattended, PARKED: was_parked}
    is_right = ours == made and {kind for _, kind in ours} == {kind for kind, has in happened.items() if has}
    return [] if is_right else [f"its webhooks are {sorted(ours)}"]


def _wrong_tasks(stack: "Stack", batch: Batch) -> list[str]:
    messages = [json.loads(message) for message in stack.broker.lrange(_QUEUE, 0, -1)]
    came = [message for message in messages if message["headers"]["parent_id"] == batch.id]
    ids = {message["headers"]["id"] for message in came}
    if len(ids) != 1:
        return [f"the app was sent {len(came)} messages with {len(ids)} ids"]
    manifest = json.loads(json.dumps(stack.client.manifest(batch.id).to_dict()))
    task, first = (_SUCCEEDED, _gist(manifest)) if batch.succeeded else (_FAILED, batch.id)
    wrong = [message for message in came if (message["headers"]["task"], _first_of(message)) != (task, first)]
    return [f"the app was sent something else than {task}"] if wrong else []


def _first_of(message: dict[str, Any]) -> object:
    """The first argument of a task, from the body in Celery's protocol."""
    (first, *_), _, _ = json.loads(base64.b64decode(message["body"]))
    return _gist(first) if isinstance(first, dict) else first


def _gist(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a batch came to. For a Redis that forgot it, all ends again: later, with results in other objects."""
    return {name: manifest[name] for name in ("batch_id", "status", "request_counts")}
