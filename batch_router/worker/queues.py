"""The queues of a fleet, and the connections to their broker.

On the server each name begins with the fleet's prefix: the queue `io` is the list `batch_router.io`. kombu adds it to
every key (`global_keyprefix`), so another app may send a task of ours with `queue="batch_router.io"`.
"""

from functools import cache
from json import JSONDecodeError
from typing import Any

import click
from celery.app import amqp
from kombu import Connection
from kombu.pools import ProducerPool

from ..providers import find_provider, provider_names
from ..security.logs import get_logger

log = get_logger(__name__)

#: `io` talks to providers, `cpu` converts and normalizes, `poll` looks at jobs.
DEFAULT_QUEUES = ("io", "cpu", "poll")


class Queues(amqp.Queues):
    """The queues that there are: Celery would make a new one of every misspelt name."""

    def __missing__(self, name: str) -> Any:
        if any(find_provider(each).owns_queue(name) for each in provider_names()):
            return self.add(self.new_missing(name))
        raise KeyError(name)

    def select(self, include: Any) -> None:
        """Consume from these queues alone: `-Q`."""
        try:
            super().select(include)
        except KeyError as error:
            known = ", ".join(sorted({*self, "gpu"}))
            sentence = f"batch_router has no queue {error}; it has {known}, and gpu.<name> for GPUs by model"
            raise click.UsageError(sentence) from None


class _WholeNames:
    """A channel that takes `batch_router.io`, the whole name of a queue, for its short one.

    kombu sends a message that a worker gives back (when it ends, or is lost) to the queue that the message names.
    """

    global_keyprefix: str

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> Any:
        return super()._lookup(exchange, routing_key.removeprefix(self.global_keyprefix), default)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (JSONDecodeError, UnicodeDecodeError):
            log.warning("action=message_dropped reason=not_json")
            return True


class _WholeMessages:
    """A transport that drops what is JSON and no message: Celery would take it for a lost connection."""

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            message["properties"]["delivery_tag"]
        except (TypeError, KeyError):
            log.warning("action=message_dropped reason=not_a_message queue=%s", queue)
        else:
            super()._deliver(message, queue)


@cache
def _ours(transport: type) -> type:
    channel = type("Channel", (_WholeNames, transport.Channel), {})
    return type("Transport", (_WholeMessages, transport), {"Channel": channel})


class BrokerConnection(Connection):
    """A connection to the broker, over any of kombu's transports for Redis."""

    def get_transport_cls(self) -> type:
        """The transport that the URL asks for, with the two changes above."""
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
