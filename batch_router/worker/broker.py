"""Connections to the broker, over kombu's transport for Redis. What they receive goes through `messages` first."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import redis
from celery.app import amqp
from kombu import connection
from kombu.pools import ProducerPool
from kombu.transport import redis as transport
from kombu.transport import virtual

from ..security.logs import get_logger
from ..security.redis_url import read_redis_url
from .messages import Refused, read_published, read_queued, read_unacked
from .queues import Queues

log = get_logger(__name__)

# What a connection to a socket does not take.
_OF_TCP = ("port", "socket_keepalive", "socket_keepalive_options")


def _taken(read: Callable[..., bytes], *arguments: Any) -> bytes | None:
    """A message as its reader makes it; None, which kombu takes for no message, if it is refused."""
    try:
        return read(*arguments)
    except Refused as reason:
        log.warning("action=message_dropped reason=%s", reason)
        return None


class _Client(transport.PrefixedStrictRedis):
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


class _Pipeline(transport.PrefixedRedisPipeline):
    """The same for messages that no worker acknowledged; kombu reads a hash for no other reason."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """A reply of the server."""
        reply = super().parse_response(connection, command_name, **options)
        if command_name == "HGET" and isinstance(reply, bytes):
            return _taken(read_unacked, reply, self.global_keyprefix[:-1])
        return reply


class _PubSub(transport.PrefixedRedisPubSub):
    """The same for what is published: remote control and events."""

    def parse_response(self, *arguments: Any, **options: Any) -> Any:
        """A reply of the server, or what it sends by itself."""
        reply = super().parse_response(*arguments, **options)
        if isinstance(reply, list) and reply[0] in (b"message", b"pmessage"):
            channel = reply[-2].decode(errors="replace")
            reply[-1] = _taken(read_published, reply[-1], channel, self.global_keyprefix[:-1])
        return reply


class _QoS(transport.QoS):
    """The messages that a worker holds, and those that no worker acknowledged."""

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message. If the server refuses, it comes again later, and the worker holds it no longer.

        kombu counts it as held until the connection ends, and a worker that holds all it may takes no other message.
        """
        try:
            super().ack(delivery_tag)
        except redis.RedisError:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def restore_visible(self, *arguments: Any, **options: Any) -> Any:
        """Put back what is older than the visibility timeout, unless a client made something else of its keys."""
        try:
            return super().restore_visible(*arguments, **options)
        except redis.ResponseError:
            log.warning("action=restore_failed")
            return None


class _Channel(transport.Channel):
    """What kombu's channel does differently here."""

    QoS = _QoS
    _commands: Any = None

    def _get_client(self) -> Any:
        return partial(_Client, global_keyprefix=self.global_keyprefix)

    def _create_client(self, asynchronous: bool = False) -> Any:
        """One for all commands through a pool: kombu makes one for each, which costs more than the command."""
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._commands is None or self._commands.connection_pool is not self.pool:
            self._commands = super()._create_client()
        return self._commands


class _SocketChannel(_Channel):
    """A channel to a server on a socket of this machine: its path stands in the place of a host."""

    connection_class: Any = redis.UnixDomainSocketConnection

    def _connparams(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        params: dict[str, Any] = super()._connparams(*arguments, **options)
        path = params.pop("host")
        return {name: it for name, it in params.items() if name not in _OF_TCP} | {"path": path}


class _Transport(transport.Transport):
    """kombu's transport, for which each error of the server is one of the connection.

    What the server refuses now (READONLY, NOREPLICAS, BUSY...) it takes again later, and Celery does not wait out other
    errors everywhere (celery#7946).
    """

    Channel = _Channel
    connection_errors = (*transport.Transport.connection_errors, redis.RedisError)


class _SocketTransport(_Transport):
    """The same over a socket."""

    Channel = _SocketChannel


class _Ours:
    """What each connection to the broker does differently here; kombu makes those of its pool by itself."""

    hostname: str
    password: str | None
    virtual_host: str

    @property
    def _is_socket(self) -> bool:
        return str(self.hostname).startswith("/")

    def get_transport_cls(self) -> type:
        """See `_Transport`."""
        return _SocketTransport if self._is_socket else _Transport

    def as_uri(self, include_password: bool = False, mask: str = "**", **options: Any) -> str:
        """The URL in Celery's form."""
        if not self._is_socket:
            return str(super().as_uri(include_password, mask, **options))
        password = quote(self.password or "", safe="") if include_password else mask
        return f"redis+socket://:{password}@{quote(self.hostname)}?virtual_host={self.virtual_host}"


class BrokerConnection(_Ours, connection.Connection):
    """A connection to the broker. kombu would not verify who answers there."""

    def __init__(self, hostname: str = "", *given: Any, **options: Any) -> None:
        """See kombu's `Connection`. A URL has all that is given; a copy of a connection has parts instead."""
        if "://" in hostname:
            server = read_redis_url("the broker's URL", hostname)
            given = (server.user, server.password, str(server.db), server.port)
            options |= {"ssl": server.tls, "transport": "rediss" if server.tls else "redis"}
            hostname = server.path or server.host
        super().__init__(hostname, *given, **options)

    def Pool(self, limit: int | None = None, **options: Any) -> Any:  # noqa: N802 - kombu's name
        """Connections like this one."""
        return _Pool(self, limit, **options)


class _PooledConnection(_Ours, connection.PooledConnection):
    """A connection that goes back to its pool."""


class _Pool(connection.ConnectionPool):
    """Connections of one app."""

    def new(self) -> Any:
        """One more."""
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))


class AMQP(amqp.AMQP):
    """Celery's way to its broker, with our queues and connections."""

    Connection = BrokerConnection
    queues_cls = Queues
    _producer_pool: Any = None

    def _create_task_sender(self) -> Any:
        send = super()._create_task_sender()

        def send_task(producer: Any, name: str, message: Any, **options: Any) -> Any:
            """Send a message. Of a retry no event says so: the one about the retry itself does."""
            is_retry = message.headers.get("retries")
            return send(producer, name, message._replace(sent_event=None) if is_retry else message, **options)

        return send_task

    @property
    def producer_pool(self) -> Any:
        """Producers on the connections of this app alone: kombu's own pools have one limit for all apps."""
        if self._producer_pool is None:
            self._producer_pool = ProducerPool(self.app.pool, limit=self.app.pool.limit)
        return self._producer_pool
