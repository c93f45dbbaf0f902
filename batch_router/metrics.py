"""What Prometheus gets: the numbers of the store and of the broker's queues, read when it asks."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple
from wsgiref.simple_server import WSGIServer

import redis
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from .connect import open_broker, open_store, queue_key
from .exceptions import ProviderNotFoundError, StoreUnavailableError
from .road.queues import queue_of, queues_of
from .security.logs import get_logger
from .settings import Settings
from .state.census import Census, Standing
from .state.table import State

log = get_logger(__name__)

PREFIX = "batch_router_"

# Nothing that a worker could do moves these on: an operator does, or the batch's shards do.
_RESTING = frozenset({State.PARKED, State.RUNNING})

_Metric = CounterMetricFamily | GaugeMetricFamily


class Family(NamedTuple):
    """A metric: what it counts, in words, and by which labels. No label has more values than a fleet has parts."""

    words: str
    labels: tuple[str, ...] = ()


#: All metrics, without their prefix; one that only grows ends with `_total`. `docs/operators.md` has the same table.
FAMILIES = {
    "store_up": Family("Whether the store answers: 1 or 0"),
    "broker_up": Family("Whether the broker answers: 1 or 0"),
    "batches": Family("Batches, those that have ended and are kept included", ("provider", "status")),
    "shards": Family("Shards, those that have ended and are kept included", ("provider", "state")),
    "queue_items": Family("Items whose next step the queue runs, at work or waiting for it", ("queue",)),
    "queue_overdue_items": Family("Items of the queue among the first 500 that are overdue", ("queue",)),
    "queue_messages": Family("Messages in the queue that no worker has taken", ("queue",)),
    "queue_listeners": Family("Workers that listen on the queue", ("queue",)),
    "overdue_items": Family("Items whose time is over and that no worker's sweep has taken"),
    "oldest_overdue_seconds": Family("How long the first of the overdue items has been so"),
    "quarantined_items": Family("Items that workers cannot read"),
    "rows_total": Family("Rows that have a result, by its status", ("provider", "result")),
    "tokens_total": Family("Tokens of all answers that were read", ("provider", "kind")),
    "cost_dollars_total": Family("US dollars that results cost, as far as prices are known", ("provider",)),
    "recoveries_total": Family("Items taken over from a worker that fell silent", ("provider", "state")),
    "provider_errors_total": Family("Steps that a call to the provider made fail", ("provider", "type")),
}


class Sample(NamedTuple):
    """A number of a family, and the values of its labels."""

    family: str
    value: float
    labels: tuple[str, ...] = ()


class StoreCollector(Collector):
    """Looks when it is asked; what does not answer within seconds is down, and its other numbers are missing.

    Args:
        settings: of the fleet.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = threading.Lock()

    def collect(self) -> Iterator[_Metric]:
        """All families, those without a number included."""
        metrics = {name: _metric(name, family) for name, family in FAMILIES.items()}
        with self._turn:  # however many ask at once
            samples = list(_samples(self._settings))
        for sample in samples:
            metrics[sample.family].add_metric(sample.labels, sample.value)
        yield from metrics.values()


def serve_metrics(settings: Settings, host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    """Serve them over HTTP in a thread.

    Args:
        settings: of the fleet.
        host: the address to listen on.
        port: 0: any free one.

    Raises:
        OSError: that address or port cannot be had.
    """
    registry = CollectorRegistry()
    registry.register(StoreCollector(settings))
    return start_http_server(port, host, registry)


def _metric(name: str, family: Family) -> _Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(PREFIX + name, family.words, labels=family.labels)


def _samples(settings: Settings) -> Iterator[Sample]:
    queues = set(queues_of(settings))
    yield from _samples_of_store(settings, queues)
    yield from _samples_of_broker(settings, queues)


def _samples_of_store(settings: Settings, queues: set[str]) -> Iterator[Sample]:
    """Adds the queues that items wait for, which the settings of this process may not name."""
    try:
        with closing(open_store(settings, impatient=True)) as store:
            census = store.census()
            queues.update(filter(None, map(_queue_of, {*census.items, *census.first_overdue})))
            listeners = {queue: len(store.listeners(queue)) for queue in sorted(queues)}
    except StoreUnavailableError as error:
        log.warning("action=scrape_failed error=%s", error)
        yield Sample("store_up", 0)
        return
    yield Sample("store_up", 1)
    yield from _samples_of_census(census)
    for queue, number in listeners.items():
        yield Sample("queue_items", _sum_of(census.items, queue), (queue,))
        yield Sample("queue_overdue_items", _sum_of(census.first_overdue, queue), (queue,))
        yield Sample("queue_listeners", number, (queue,))


def _samples_of_census(census: Census) -> Iterator[Sample]:
    for place, number in census.batches.items():
        yield Sample("batches", number, place)
    shards: Counter[tuple[str, str]] = Counter()
    for item, number in census.items.items():
        if item.kind == "shard":
            shards[item.provider, item.state.value] += number
    for place, number in shards.items():
        yield Sample("shards", number, place)
    yield Sample("overdue_items", census.overdue)
    yield Sample("oldest_overdue_seconds", census.oldest_overdue)
    yield Sample("quarantined_items", census.quarantined)
    for total, amount in census.totals.items():
        if (name := f"{total.name}_total") in FAMILIES:  # another version may add up more
            labels = (total.provider, total.label)
            yield Sample(name, amount, labels[: len(FAMILIES[name].labels)])


def _samples_of_broker(settings: Settings, queues: Iterable[str]) -> Iterator[Sample]:
    try:
        with open_broker(settings, impatient=True) as broker:
            lengths = {queue: int(broker.llen(queue_key(settings, queue))) for queue in sorted(queues)}
    except (StoreUnavailableError, redis.RedisError) as error:  # its client's words may quote anything
        log.warning("action=scrape_failed error=%s", type(error).__name__)
        yield Sample("broker_up", 0)
        return
    yield Sample("broker_up", 1)
    for queue, length in lengths.items():
        yield Sample("queue_messages", length, (queue,))


def _sum_of(items: Mapping[Standing, int], queue: str) -> int:
    return sum(number for item, number in items.items() if _queue_of(item) == queue)


def _queue_of(item: Standing) -> str | None:
    """The queue whose workers move the item on; None: none of them does."""
    if item.state.is_final or item.state in _RESTING:
        return None
    try:
        return queue_of(item)
    except ProviderNotFoundError:  # this process does not have its provider
        return str(item.state.queue)
