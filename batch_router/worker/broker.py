"""Connections to the broker, over kombu's transport for Redis. What they receive goes through `messages` first."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import redis
from celery.app import amqp
from kombu import Connection
from kombu.pools import ProducerPool
from kombu.transport.redis import PrefixedRedisPipeline, PrefixedRedisPubSub, PrefixedStrictRedis
from kombu.transport.redis import QoS as RedisQoS

from ..security.logs import get_logger
from ..security.redis_url import read_redis_url
from .messages import Refused, read_published, read_queued, read_unacked
from .queues import Queues

log = get_logger(__name__)


def _taken(read: Callable[..., bytes], *arguments: Any) -> bytes | None:
    """A message as its reader makes it; None, which kombu takes for no message, if it is refused."""
    try:
        return read(*arguments)
    except Refused as reason:
        log.warning("action=message_dropped reason=%s", reason)
        return None


class _Client(PrefixedStrictRedis):
    """Between Redis and kombu: it changes what comes from a queue."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """A reply of the server."""
        reply = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not reply:
            return reply
        queue, raw = reply
        message = _taken(read_queued, raw, queue.decode(errors="replace"), self.global_keyprefix[:-1])
        return message and (queue, message)

    def pubsub(self, **options: Any) -> Any:
        """The connection that hears what is published."""
        return _PubSub(self.connection_pool, global_keyprefix=self.global_keyprefix, **options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """Several commands as one."""
        prefix = self.global_keyprefix
        return _Pipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint, global_keyprefix=prefix
        )


class _Pipeline(PrefixedRedisPipeline):
    """The same for messages that no worker acknowledged; kombu reads a hash for no other reason."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """A reply of the server."""
        reply = super().parse_response(connection, command_name, **options)
        if command_name == "HGET" and isinstance(reply, bytes):
            return _taken(read_unacked, reply, self.global_keyprefix[:-1])
        return reply


class _PubSub(PrefixedRedisPubSub):
    """The same for what is published: remote control and events."""

    def parse_response(self, *arguments: Any, **options: Any) -> Any:
        """A reply of the server, or what it sends by itself."""
        reply = super().parse_response(*arguments, **options)
        if isinstance(reply, list) and reply[0] in (b"message", b"pmessage"):
            channel = reply[-2].decode(errors="replace")
            reply[-1] = _taken(read_published, reply[-1], channel, self.global_keyprefix[:-1])
        return reply


class _QoS(RedisQoS):
    """Puts back what no worker acknowledged, unless another client has made something else of its keys."""

    def restore_visible(self, *arguments: Any, **options: Any) -> Any:
        """Put back what is older than the visibility timeout."""
        try:
            return super().restore_visible(*arguments, **options)
        except redis.ResponseError:
            log.warning("action=restore_failed")
            return None


class _Channel:
    """What kombu's channel does differently here."""

    QoS = _QoS
    global_keyprefix: str

    def _get_client(self) -> Any:
        return partial(_Client, global_keyprefix=self.global_keyprefix)


@cache
def _ours(transport: Any) -> type:
    channel = type("Channel", (_Channel, transport.Channel), {})
    # What the server refuses now (READONLY, NOREPLICAS, BUSY...) it takes again later. For kombu that is no error of
    # the connection, and Celery does not wait it out everywhere (celery#7946).
    errors = (*transport.connection_errors, redis.RedisError)
    return type("Transport", (transport,), {"Channel": channel, "connection_errors": errors})


class BrokerConnection(Connection):
    """A connection to the broker. kombu would not verify who answers there."""

    def __init__(self, hostname: str = "", *given: Any, **options: Any) -> None:
        """See kombu's `Connection`. A URL has all that is given; a copy of a connection has parts instead."""
        if "://" in hostname:
            server = read_redis_url("the broker's URL", hostname)
            given = (server.user, server.password, str(server.db), server.port)
            options |= {"ssl": server.tls, "transport": server.scheme}
            hostname = server.host
        super().__init__(hostname, *given, **options)

    def get_transport_cls(self) -> type:
        """The transport that the URL asks for, with the changes above."""
        return _ours(super().get_transport_cls())


class AMQP(amqp.AMQP):
    """Celery's way to its broker, with our queues and connections."""

    Connection = BrokerConnection
    queues_cls = Queues
    _producer_pool: Any = None

    @property
    def producer_pool(self) -> Any:
        """Producers on the connections of this app alone: kombu's own pools have one limit for all apps."""
        if self._producer_pool is None:
            self._producer_pool = ProducerPool(self.app.pool, limit=self.app.pool.limit)
        return self._producer_pool
