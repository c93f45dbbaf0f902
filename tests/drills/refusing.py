"""Bad days of the server itself: it refuses what the workers ask, for some seconds, or loses one key."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import redis

from batch_router.state.table import State

from .commands import wait_for_end
from .outages import Outage
from .stack import Stack

_REFUSES = 8.0
# Until the workers find out that an item is not there.
_LONGEST_LOOK = 180.0
_LONGEST_SCRIPT = 50  # milliseconds, after which the server answers BUSY

Day = Callable[[Stack, Any], AbstractContextManager[None]]


@contextmanager
def _read_only(stack: Stack, server: Any) -> Iterator[None]:
    """READONLY: it was demoted, as a failover does it."""
    server.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    server.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def _without_replicas(stack: Stack, server: Any) -> Iterator[None]:
    """NOREPLICAS: fewer follow than its configuration wants."""
    server.config_set("min-replicas-to-write", "1")
    yield
    server.config_set("min-replicas-to-write", "0")


@contextmanager
def _unsaved(stack: Stack, server: Any) -> Iterator[None]:
    """MISCONF: it cannot write its snapshot."""
    in_the_way = stack.home / "redis" / "dump.rdb"
    in_the_way.mkdir()
    server.config_set("save", "3600 1")
    server.bgsave()
    yield
    server.config_set("save", "")
    in_the_way.rmdir()


@contextmanager
def _without_permission(stack: Stack, server: Any) -> Iterator[None]:
    """NOPERM: an operator takes the user's rights, and gives them back."""
    server.execute_command("ACL", "SETUSER", "default", "-@write")
    yield
    server.execute_command("ACL", "SETUSER", "default", "+@all")


@contextmanager
def _busy(stack: Stack, server: Any) -> Iterator[None]:
    """BUSY: a script of another app does not end."""
    server.config_set("lua-time-limit", str(_LONGEST_SCRIPT))
    script = threading.Thread(target=_run_for_ever, args=(str(stack.settings.redis_url),))
    script.start()
    yield
    while script.is_alive():
        with suppress(redis.RedisError):
            server.execute_command("SCRIPT", "KILL")
        script.join(timeout=0.1)


def _run_for_ever(url: str) -> None:
    with suppress(redis.RedisError), redis.Redis.from_url(url, socket_timeout=None) as client:
        client.eval("while true do end", 0)


@contextmanager
def _cut_off(stack: Stack, server: Any) -> Iterator[None]:
    """Every connection is cut, again and again."""
    deadline = time.monotonic() + _REFUSES
    while time.monotonic() < deadline:
        server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.5)
    yield


def _for_some_seconds(day: Day) -> Callable[[Stack, str], list[str]]:
    def happen(stack: Stack, batch_id: str) -> list[str]:
        with redis.Redis.from_url(str(stack.settings.redis_url)) as server, day(stack, server):
            time.sleep(_REFUSES)
        return []

    return happen


def _lose_item(stack: Stack, batch_id: str) -> list[str]:
    """The key of a shard goes, as a server with another policy than `noeviction` drops it.

    The batch ends as failed, as its books do not balance, and the operator takes it up again.
    """
    shard_id = _polled(stack, batch_id)
    problems = _delete(stack, f"item:{shard_id}", lambda server, key: server.delete(key))
    wait_for_end(stack, batch_id, _LONGEST_LOOK)
    batch = stack.store.get_batch(batch_id)
    if batch is None or batch.state is not State.FAILED:
        return [*problems, "a batch that lacks an item did not end as failed"]
    stack.client.resume(batch_id)
    return problems


def _lose_due(stack: Stack, batch_id: str) -> list[str]:
    """An item's time goes: nothing says any more when it must be looked at."""
    shard_id = _polled(stack, batch_id)
    return _delete(stack, "due", lambda server, key: server.zrem(key, shard_id))


def _lose_all_due(stack: Stack, batch_id: str) -> list[str]:
    """The key with the times of all items goes, as a server evicts it."""
    _polled(stack, batch_id)
    return _delete(stack, "due", lambda server, key: server.delete(key))


def _delete(stack: Stack, name: str, act: Callable[["redis.Redis", bytes], object]) -> list[str]:
    """Delete at the key of that name, whatever it begins with."""
    with redis.Redis.from_url(str(stack.settings.redis_url)) as server:
        keys = [key for key in server.scan_iter(f"{stack.settings.prefix}:*") if key.endswith(f":{name}".encode())]
        return [] if sum(bool(act(server, key)) for key in keys) == 1 else [f"there was nothing to lose: {name}"]


def _polled(stack: Stack, batch_id: str) -> str:
    """A shard whose job runs."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        batch = stack.store.get_batch(batch_id)
        for shard in stack.store.get_shards(batch) if batch else []:
            if shard.state is State.POLLING:
                return shard.id
        time.sleep(0.05)
    return ""


REFUSALS = (
    Outage("Redis demoted 8 s (READONLY)", _for_some_seconds(_read_only)),
    Outage("Redis without replicas 8 s (NOREPLICAS)", _for_some_seconds(_without_replicas)),
    Outage("Redis cannot save 8 s (MISCONF)", _for_some_seconds(_unsaved)),
    Outage("Redis refuses rights 8 s (NOPERM)", _for_some_seconds(_without_permission)),
    Outage("Redis busy 8 s (BUSY)", _for_some_seconds(_busy)),
    Outage("Redis cuts connections 8 s", _for_some_seconds(_cut_off)),
    Outage("one item lost", _lose_item),
    Outage("one due time lost", _lose_due),
    Outage("all due times lost", _lose_all_due),
)
