"""What lies in storage of a task that is sent to the user's app, and who sends it."""

from collections.abc import Callable
from typing import Any

import msgspec

from ..exceptions import BrokerUnavailableError


class CallbackMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The message of a task, as Celery made it in the user's process, without the argument that the batch adds.

    Attributes:
        broker: the name of the user's app, whose broker takes the message; None: it has the broker of our workers.
        task: its name, for people.
        on_error: whether it is sent where the batch did not succeed.
        takes: whether the batch adds a first argument: its manifest, or on an error its id.
        body: arguments, keyword arguments, and what follows the task, as Celery's protocol has them.
        headers: of the message; they name the task and its id.
        properties: of the message, for kombu's `Producer.publish`: exchange, routing key, priority...
        transport: how the app names its queues on the broker: those of its `broker_transport_options` that matter.
    """

    broker: str | None
    task: str
    on_error: bool
    takes: bool
    body: tuple[list[Any], dict[str, Any], dict[str, Any]]
    headers: dict[str, Any]
    properties: dict[str, Any]
    transport: dict[str, Any] = msgspec.field(default_factory=dict)


#: Sends a message with what the batch adds; BrokerUnavailableError: it may not have arrived.
Deliver = Callable[[CallbackMessage, object], None]


def deliver_nothing(message: CallbackMessage, _: object) -> None:
    """For a process that has no broker."""
    raise BrokerUnavailableError(f"this process does not send tasks such as {message.task}: Celery workers do")
