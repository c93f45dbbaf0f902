"""Sending a task to the user's app."""

from typing import Any

import redis
from kombu import Producer
from kombu.exceptions import KombuError

from ..connect import broker_server
from ..exceptions import BrokerUnavailableError
from ..road.callbacks import CallbackMessage
from ..security.redis_url import read_redis_url
from ..settings import Settings
from .broker import BrokerConnection

_PATIENCE = {"socket_timeout": 30, "socket_connect_timeout": 5, "max_retries": 1}


def deliver(message: CallbackMessage, first: object) -> None:
    """Send the task of a callback to the broker of its app.

    Args:
        message: of the task.
        first: its first argument, if it takes what the batch adds.

    Raises:
        BrokerUnavailableError: the broker may not have taken it.
        ValidationError: the setting has no URL of a broker.
    """
    args, kwargs, follows = message.body
    body = ([first, *args] if message.takes else args, kwargs, follows)
    url = _url_of(message)
    try:
        with (
            BrokerConnection(url, transport_options=_PATIENCE | message.transport) as broker,
            broker.channel() as channel,
        ):
            _publish(Producer(channel, auto_declare=False), body, message)
    except (KombuError, OSError, redis.RedisError) as error:  # their words may quote the message
        whose = message.broker or "batch_router"
        sentence = f"the broker of {whose} did not take the task {message.task}: {type(error).__name__}"
        raise BrokerUnavailableError(sentence) from error


def _publish(producer: Producer, body: object, message: CallbackMessage) -> None:
    properties: dict[str, Any] = dict(message.properties)
    producer.publish(body, serializer="json", headers=dict(message.headers), **properties)


def _url_of(message: CallbackMessage) -> str:
    settings = Settings.from_env()
    if message.broker is None:
        return broker_server(settings).url
    url = settings.callback_brokers.get(message.broker)
    if url is None:
        raise BrokerUnavailableError(f"BATCH_ROUTER_CALLBACK_BROKERS of this worker does not name {message.broker!r}")
    return read_redis_url("BATCH_ROUTER_CALLBACK_BROKERS", url, settings.redis_ca).url
