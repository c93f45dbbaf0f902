"""The border to Redis: its errors become ours here."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

import redis
from redis.exceptions import NoPermissionError

from ..exceptions import StoreUnavailableError
from .checks import corrupt


class HasAddress(Protocol):
    """What talks to a server."""

    address: str


P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=HasAddress)

# Redis 6.2 writes the code of an error in a script behind the place, all later servers in front.
_CODE_IN_SCRIPT = re.compile(r"user_script: ?\d+: -?([A-Z]+) ")

# A command that its user may not use, or that is switched off, as servers say it about a script, too.
_FORBIDDEN = ("ACL failure", "can't run this command", "unknown command")

# What Redis' errors mean, most specific first. An error that is not listed is one of the server's own.
_MEANINGS: tuple[tuple[tuple[type[redis.RedisError], ...], str], ...] = (
    ((redis.AuthenticationError,), "refuses the password of its URL"),  # a kind of ConnectionError
    ((redis.OutOfMemoryError,), "is full (maxmemory); nothing was changed"),
    ((redis.BusyLoadingError,), "still loads its data"),
    (
        (redis.ConnectionError, redis.TimeoutError),
        "does not answer ({kind}): is it running, and is BATCH_ROUTER_REDIS_URL right?",
    ),
    ((redis.RedisError,), "refuses a command ({kind}{code})"),
)


def translated(method: Callable[Concatenate[C, P], T]) -> Callable[Concatenate[C, P], T]:
    """Redis' errors as ours, at the one border to it: every one of them, for any may pass."""

    @wraps(method)
    def call(self: C, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except redis.DataError:  # a value of ours that the client cannot send: a bug, not a condition of the server
            raise
        except redis.RedisError as error:
            meaning = next(meaning for kinds, meaning in _MEANINGS if isinstance(error, kinds))
            if is_forbidden(error):
                meaning = "does not permit its user a command or a key"
            described = meaning.format(kind=type(error).__name__, code=_code(error))
            raise StoreUnavailableError(f"Redis at {self.address} {described}") from error

    return cast("Callable[Concatenate[C, P], T]", call)


def is_forbidden(error: BaseException | None) -> bool:
    """Whether the server will not take a command however often it is asked."""
    return isinstance(error, NoPermissionError) or any(words in str(error) for words in _FORBIDDEN)


def _code(error: redis.RedisError) -> str:
    """The code in front of a server's error (NOREPLICAS, READONLY...); what follows may quote arguments."""
    word = str(error).partition(" ")[0]
    return f": {word}" if word.isupper() else ""


def raise_if_corrupt(item_id: str, error: redis.RedisError) -> None:
    """Raise if an error is about what a key of an item holds. The server's own conditions have a code: READONLY..."""
    if is_forbidden(error):
        return
    words = str(error)
    first = words.partition(" ")[0]
    found = first if first.isupper() else (_CODE_IN_SCRIPT.search(words) or ("", ""))[1]
    is_of_script = "user_script" in words and found in ("", "ERR")
    if type(error) is redis.ResponseError and (is_of_script or found == "WRONGTYPE"):
        raise corrupt(item_id, "a value of it has the wrong type") from error
