"""Every implementation of the store."""

import itertools
from collections.abc import Iterator

import fakeredis
import pytest
import redis

from batch_router.state.base import Store
from batch_router.state.memory import MemoryStore
from batch_router.state.redis import RedisStore

_prefixes = itertools.count()


@pytest.fixture(params=["valkey", "fakeredis", "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "fakeredis":
        with fakeredis.FakeRedis(decode_responses=True) as client:
            yield RedisStore(client, epoch="fake")
    else:
        url = request.getfixturevalue("valkey")
        with redis.Redis.from_url(url, decode_responses=True) as client:
            yield RedisStore(client, prefix=f"store{next(_prefixes)}:")
