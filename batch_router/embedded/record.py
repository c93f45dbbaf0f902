"""What is written down about the server of a home, and whether it is believed."""

import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..security.files import check_home, open_private, read_private
from ..security.redis_url import read_redis_url

_ANSWER_S = 1.0
_LONGEST = 10_000  # bytes of a record
_LISTENING = "0A"  # in /proc/net/tcp

#: The permissions of the folder `redis` of a home: it is always made like this, and a copied one mostly is not.
FOLDER_MODE = 0o700


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens, its password, and which processes it and its supervisor are."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    password: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]+$")]
    pid: int
    supervisor: int

    def __repr__(self) -> str:
        return f"Record(port={self.port}, pid={self.pid}, supervisor={self.supervisor})"

    @property
    def url(self) -> str:
        """With the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A connection that does not wait."""
        once = Retry(NoBackoff(), 0)
        server = read_redis_url("the embedded server's", self.url)
        return server.client(socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S, retry=once)

    def probe(self) -> Literal["ready", "loading", "gone"]:
        """Whether a server of this user with our password is there; all others count as gone."""
        if not _is_our_port(self.port):
            return "gone"
        try:
            with self.client() as client:
                client.ping()
        except redis.BusyLoadingError:
            return "loading"
        except (redis.RedisError, OSError, ValueError):  # ValueError: what is there does not speak RESP
            return "gone"
        return "ready"


def running_url(home: Path) -> str | None:
    """The URL of the embedded server of `home`, None if it does not answer.

    Raises:
        ValidationError: the home, or what lies in it, could have been prepared by another user.
    """
    check_home(home)
    record = find_running(home / "redis")
    return record.url if record else None


def find_running(folder: Path) -> Record | None:
    """The record of the server of a folder, if it runs.

    Raises:
        ValidationError: see `running_url`.
    """
    record = read_record(folder)
    return record if record and _is_locked(folder / "data.lock") and record.probe() != "gone" else None


def read_record(folder: Path) -> Record | None:
    """The record of the last server of a folder.

    Raises:
        ValidationError: see `running_url`.
    """
    check_home(folder, most_mode=FOLDER_MODE)
    try:
        return msgspec.json.decode(read_private(folder / "server.json", _LONGEST), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _is_locked(path: Path) -> bool:
    """Whether a server lives that holds this lock: a record alone, old or copied, gets no connection."""
    try:
        lock = open_private(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _is_our_port(port: int) -> bool:
    """Whether this user listens on a local port: another one may have taken it, and would be told the password.

    Where the system does not say who listens, as on macOS, it counts as ours.
    """
    (number,) = struct.unpack("=I", socket.inet_aton("127.0.0.1"))
    address = f"{number:08X}:{port:04X}"
    try:
        table = Path("/proc/net/tcp").read_text()
    except OSError:
        return True
    rows = (line.split() for line in table.strip().split("\n")[1:])
    return any(row[1] == address and row[3] == _LISTENING and int(row[7]) == os.geteuid() for row in rows)
