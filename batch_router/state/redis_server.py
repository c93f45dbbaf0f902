"""What a server says about itself, as far as batches depend on it."""

from typing import Any

import msgspec
import redis


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis or Valkey server.

    Attributes:
        name: the program and its version, for people.
        version: of Redis, whose commands it has: major and minor.
        eviction: its `maxmemory-policy`.
        keeps: whether it writes what it is given to disk as it comes (AOF).
    """

    name: str
    version: tuple[int, ...]
    eviction: str
    keeps: bool

    @property
    def evicts(self) -> bool:
        """Whether it may delete keys that have no end."""
        return self.eviction.startswith("allkeys-")


def read_server(client: "redis.Redis") -> ServerInfo:
    """Ask a server.

    Raises:
        redis.RedisError: it does not answer, or does not permit the question.
    """
    info: Any = client.info()
    version = str(info["redis_version"])
    return ServerInfo(
        name=f"{info.get('server_name', 'redis')} {info.get('valkey_version') or version}",
        version=tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()),
        eviction=str(info.get("maxmemory_policy", "noeviction")),
        keeps=bool(info.get("aof_enabled")),
    )
