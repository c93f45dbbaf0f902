"""The one place that reads the URL of a Redis server, and that makes clients for it.

redis-py and kombu read such URLs differently, and neither verifies what the other does. So each gets the parts of the
record that is read here. `rediss://` always verifies the server's certificate and its name.
"""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec
import redis

from ..exceptions import ValidationError

_PORT = 6379
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_REQUIRED = {"ssl_cert_reqs": ("required", "CERT_REQUIRED"), "ssl_check_hostname": ("true", "True", "1", "yes")}
# The number of the database: redis-py's parameter, and Celery's.
_DATABASE = ("db", "virtual_host")
_SOCKET = frozenset({*_DATABASE, "username", "password"})
#: The parameters that a URL may have, by scheme.
_PARAMETERS = {
    "redis": frozenset(_DATABASE),
    "rediss": frozenset({*_DATABASE, *_FILES, *_REQUIRED}),
    "unix": _SOCKET,
    "redis+socket": _SOCKET,
}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")


class RedisServer(msgspec.Struct, frozen=True, kw_only=True):
    """A database of a Redis server.

    Attributes:
        scheme: `redis`, `rediss` (TLS) or `unix`.
        host: a name or an address; empty for a socket.
        port: of the host.
        path: of the socket.
        db: the number of the database.
        files: for TLS: of the CA (by default the system's), and the client's certificate and key.
    """

    scheme: str
    host: str = ""
    port: int = _PORT
    path: str = ""
    db: int = 0
    user: str | None = None
    password: str | None = None
    files: dict[str, str] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        """Without user and password."""
        return f"RedisServer({self.scheme}://{self.path or f'{self.host}:{self.port}'}, db={self.db})"

    @property
    def is_exposed(self) -> bool:
        """Whether others on the network can read what is sent: it goes to another machine, and not by TLS."""
        return self.scheme == "redis" and not _is_loopback(self.host)

    @property
    def url(self) -> str:
        """All of it as a URL that both clients read alike, password included."""
        if self.scheme == "unix":
            given = {"db": self.db, "username": self.user, "password": self.password}
            return f"unix://{quote(self.path)}?{urlencode({name: it for name, it in given.items() if it is not None})}"
        login = f"{quote(self.user or '', safe='')}:{quote(self.password or '', safe='')}@".removeprefix(":@")
        host = f"[{self.host}]" if ":" in self.host else self.host
        files = f"?{urlencode(self.files)}" if self.files else ""
        return f"{self.scheme}://{login}{host}:{self.port}/{self.db}{files}"

    @property
    def tls(self) -> dict[str, Any]:
        """What a connection by TLS wants to know; empty if it is none."""
        if self.scheme != "rediss":
            return {}
        checks = {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_min_version": ssl.TLSVersion.TLSv1_2}
        return checks | self.files

    def client(self, **options: Any) -> "redis.Redis":
        """A client that connects when it is first used.

        Args:
            options: of redis-py's connections.
        """
        where: dict[str, Any] = {"path": self.path} if self.scheme == "unix" else {"host": self.host, "port": self.port}
        where |= {"db": self.db, "username": self.user, "password": self.password}
        kind = {"unix": redis.UnixDomainSocketConnection, "rediss": redis.SSLConnection}.get(self.scheme)
        pool = redis.ConnectionPool(kind or redis.Connection, **where, **self.tls, **options)
        return redis.Redis.from_pool(pool)


def is_same_database(one: RedisServer | None, other: RedisServer) -> bool:
    """Whether two URLs name one database, as far as their words tell."""
    if one is None or (one.path, one.db) != (other.path, other.db):
        return False
    both_here = _is_loopback(one.host) and _is_loopback(other.host)
    return bool(one.path) or (one.port == other.port and (one.host == other.host or both_here))


def read_redis_url(variable: str, url: str, ca: Path | None = None) -> RedisServer:
    """The server that a URL names, in redis-py's or in Celery's way of writing it.

    Args:
        variable: where the URL is from.
        url: of a database.
        ca: the file of the CA, where the URL names none.

    Raises:
        ValidationError: it is no such URL, or asks for less than full verification. Nothing of the URL is in the error
            and what led to it: a password with unescaped characters may stand in any of its parts.
    """
    server = _parse(url)
    if isinstance(server, str):
        raise ValidationError(f"{variable} {server}")
    if server.scheme == "rediss" and ca is not None:
        server = msgspec.structs.replace(server, files={"ssl_ca_certs": str(ca.absolute()), **server.files})
    for name, path in server.files.items():
        if not Path(path).is_file():
            raise ValidationError(f"{variable}: {name} names no file that can be read")
    return server


_NO_URL = (
    "is not the URL of a Redis database, such as redis://host:6379/0 (redis://, rediss://, unix:///path?db=0); in a"
    " password, characters such as / ? # % and @ are written %2F %3F %23 %25 %40"
)


class _WrongError(Exception):
    """What is wrong, without a part of the URL."""


def _parse(url: str) -> RedisServer | str:
    """The server, or what is wrong. Nothing is raised, so that no error has the URL's parts in its context."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PARAMETERS or parts.fragment:
            return _NO_URL
        query = _query(parts)
        return _socket(parts, query) if _PARAMETERS[parts.scheme] is _SOCKET else _network(parts, query)
    except _WrongError as wrong:
        return str(wrong)
    except ValueError:
        return _NO_URL


def _query(parts: SplitResult) -> dict[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    query = dict(pairs)
    known = _PARAMETERS[parts.scheme]
    if len(query) < len(pairs) or query.keys() - known:
        _wrong(f"has a parameter that is not known or not taken; {parts.scheme}:// takes {', '.join(sorted(known))}")
    for name, taken in _REQUIRED.items():
        if query.get(name, taken[0]) not in taken:
            _wrong(
                f"may not set {name} so: rediss:// always verifies the server's certificate and its name;"
                " name the file of your CA with ssl_ca_certs, or in BATCH_ROUTER_REDIS_CA"
            )
    return query


def _wrong(what: str) -> NoReturn:
    raise _WrongError(what)


def _socket(parts: SplitResult, query: dict[str, str]) -> RedisServer:
    if parts.hostname or not parts.path.startswith("/") or "@" in parts.path:
        raise ValueError
    return RedisServer(
        scheme="unix",
        path=unquote(parts.path),
        db=_number(query),
        user=unquote(parts.username or "") or query.get("username"),
        password=unquote(parts.password or "") or query.get("password"),
    )


def _network(parts: SplitResult, query: dict[str, str]) -> RedisServer:
    if re.fullmatch(r"/?[0-9]*", parts.path) is None:
        raise ValueError
    return RedisServer(
        scheme=parts.scheme,
        host=_host(parts),
        port=parts.port or _PORT,
        db=_number(query, parts.path.strip("/")),
        user=unquote(parts.username or "") or None,
        password=unquote(parts.password or "") or None,
        files={name: query[name] for name in _FILES if name in query},
    )


def _number(query: dict[str, str], in_path: str = "") -> int:
    """The number of the database, which may stand in several places."""
    numbers = {number for number in (in_path, *map(query.get, _DATABASE)) if number}
    if len(numbers) > 1:
        _wrong("names two databases; one number is enough")
    number = numbers.pop() if numbers else "0"
    if not number.isdecimal():
        raise ValueError
    return int(number)


def _host(parts: SplitResult) -> str:
    host = parts.hostname or "localhost"
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    if _HOST.fullmatch(host) is None:
        raise ValueError
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
