"""A fleet of one thread over a real Valkey and a service with OpenAI's wire: a test stops it wherever it likes."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from batch_router.connect import open_store
from batch_router.core import jobs
from batch_router.operations.submit import submit
from batch_router.road.advance import advance
from batch_router.road.context import Clients, Context
from batch_router.road.lease import LeaseKeeper
from batch_router.settings import Settings
from batch_router.state.base import Hint
from batch_router.state.items import SCHEMA, Batch, Shard
from batch_router.state.table import State
from batch_router.storage import FolderStorage
from tests.road.odd_openai import OddOpenAI
from tests.security.hostile_server import HostileServer

ROWS = [{"custom_id": f"q{number}", "prompt": f"Row {number}"} for number in range(6)]
# Seconds of the real clock in which something must happen.
_PATIENCE = 30.0
# Seconds until it looks again for what is due: half of what an item waits for its message.
_PAUSE = 0.005
_prefixes = itertools.count()


class Lab:
    """Attributes: `context` of its workers and clients, `service` that their batches go to, `server` of the store."""

    def __init__(self, context: Context, service: OddOpenAI, server: "redis.Redis") -> None:
        self.context = context
        self.service = service
        self.server = server

    def submit(self, batch_id: str = "b", **options: Any) -> None:
        given: Any = {"model": "m", "requests": ROWS, "batch_id": batch_id, **options}
        submit(self.context, "openai", given)

    def drain(self, stop: Callable[[Batch], bool] = lambda batch: batch.state.is_final, batch_id: str = "b") -> Batch:
        """Carry out what is due until the batch is where it should be."""
        deadline = time.monotonic() + _PATIENCE
        while not stop(batch := self.batch(batch_id)):
            assert time.monotonic() < deadline, (batch, self.shards(batch_id))
            hints = self.context.store.take_due(1, grace=0)
            for hint in hints:
                advance(self.context, hint.id, hint.version)
            if not hints:
                time.sleep(_PAUSE)
        return batch

    def drain_all(self) -> None:
        """Carry out what is due until every batch has ended, or waits for the operator."""
        for batch in list(self.context.store.iter_batches()):
            self.drain(lambda batch: batch.state.is_final or self._rests(batch), batch.id)

    def _rests(self, batch: Batch) -> bool:
        """Whether each of its shards that has not ended is parked, and waits for a decision."""
        moving = [shard for shard in self.context.store.get_shards(batch) if not shard.state.is_final]
        undecided = [shard for shard in moving if shard.state is State.PARKED and not shard.given_up]
        return bool(moving) and moving == undecided and not batch.cancel

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """What is due within a day is due at once: a real clock, and no test waits for an hour of looks."""
        take_due = self.context.store.take_due

        def hurry(limit: int, *, grace: float) -> list[Hint]:
            now = self.context.store.now() * 1000
            soon = cast("list[bytes]", self.server.zrangebyscore(self.due, "-inf", now + 86_400_000))
            for item_id in soon:
                self.server.zadd(self.due, {item_id.decode(): now - 1})
            return take_due(limit, grace=grace)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.context.store, "take_due", hurry)
            yield

    def age(self, seconds: float, batch_id: str = "b") -> None:
        """Have a batch have ended this long ago."""
        ended_at = (self.batch(batch_id).ended_at or 0) - seconds
        self.server.hset(self.key(batch_id), "ended_at", str(ended_at))
        self.server.zadd(self.due, {batch_id: 0})

    def drain_nothing_left(self) -> None:
        """Carry out what is due until nothing is."""
        while hints := self.context.store.take_due(1, grace=0):
            advance(self.context, hints[0].id, hints[0].version)

    def batch(self, batch_id: str = "b") -> Batch:
        batch = self.context.store.get_batch(batch_id)
        assert batch is not None
        return batch

    def shards(self, batch_id: str = "b") -> list[Shard]:
        return self.context.store.get_shards(self.batch(batch_id))

    def key(self, item_id: str) -> str:
        return f"{self.context.settings.prefix}:item:{item_id}"

    @property
    def due(self) -> str:
        return f"{self.context.settings.prefix}:v{SCHEMA}:due"

    def path(self, name: str) -> Path:
        """Where an object of the storage lies."""
        return Path(self.context.storage.address, name)


@contextmanager
def open_lab(valkey: str, home: Path, service: OddOpenAI) -> Iterator[Lab]:
    """A lab with a store of its own; its batches have two rows a shard."""
    with (
        HostileServer(service.answer) as wire,
        redis.Redis.from_url(valkey) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(jobs, "_DIGEST_ROUNDS", 1)  # of the key, for each client: slow on purpose
        settings = Settings(
            home=home,
            redis_url=valkey,
            prefix=f"lab{next(_prefixes)}",
            max_shard_rows=2,
            grace=0.01,
            base_urls={"openai": f"{wire.url}/v1"},
        )
        store = open_store(settings)
        context = Context(
            settings=settings,
            store=store,
            storage=FolderStorage(settings.home),
            worker="lab",
            clients=Clients(settings),
            keeper=LeaseKeeper(store, lease=settings.lease, every=settings.renew_every),
        )
        try:
            yield Lab(context, service, server)
        finally:
            context.close()
