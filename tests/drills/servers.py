"""The server of a stack, and how it forgets: its log is cut back, or a replica that is behind takes its place."""

import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self

import msgspec
import redis

from batch_router.embedded import EmbeddedServer
from batch_router.embedded.binary import find_server

from .proxy import Proxy

_LOOK_EVERY = 0.01
# How far back a log can be cut, in seconds.
_KEPT = 120.0
#: How many seconds the replica is behind.
LAG = 1.0


class Server(Protocol):
    """What every drill needs of it.

    Attributes:
        url: of its first database.
    """

    url: str

    @property
    def pid(self) -> int:
        """Its process."""

    def kill(self) -> None:
        """Kill it, and return when it answers again."""

    def forget(self, seconds: float) -> None:
        """Kill it, and return when one answers that does not know what came in these last seconds."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class LoggedServer:
    """The embedded server, started again by its supervisor; how long its log was when is noted all the time.

    A Redis that is restored from an older copy of its log is one whose log is cut back: the log is only ever added to.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "redis"
        self._embedded = EmbeddedServer(home)
        self._sizes: deque[tuple[float, int]] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._note_sizes, name="log-sizes")
        self.url = ""

    @property
    def pid(self) -> int:
        return int(msgspec.json.decode((self._folder / "server.json").read_bytes())["pid"])

    @property
    def _log(self) -> Path:
        (log,) = (self._folder / "appendonlydir").glob("*.incr.aof")
        return log

    def _note_sizes(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            now = time.monotonic()
            self._sizes.append((now, self._log.stat().st_size))
            while self._sizes[0][0] < now - _KEPT:
                self._sizes.popleft()

    def kill(self) -> None:
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        _wait(lambda: self.pid != pid and answers(self.url))

    def forget(self, seconds: float) -> None:
        os.kill(self.pid, signal.SIGSTOP)  # so that it adds nothing after the cut
        sizes, then = list(self._sizes), time.monotonic() - seconds
        size = next((size for at, size in reversed(sizes) if at <= then), sizes[0][1])
        os.truncate(self._log, size)
        self.kill()

    def __enter__(self) -> Self:
        self.url = self._embedded.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._embedded.stop()


class ReplicatedServer:
    """A server and a replica that is `LAG` seconds behind; clients reach whichever is the master through a proxy."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "redis"
        self._password = secrets.token_hex(8)
        self._undo = ExitStack()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._master = self._replica = 0
        self._front = Proxy(0)
        self.url = ""

    @property
    def pid(self) -> int:
        return self._processes[self._master].pid

    def kill(self) -> None:
        raise NotImplementedError("a master that is killed is replaced")

    def forget(self, seconds: float) -> None:
        """The master dies, and the replica takes its place; the next one follows that one, just as far behind."""
        assert seconds == LAG
        self._end(self._master)
        with self._client(self._replica) as replica:
            replica.execute_command("REPLICAOF", "NO", "ONE")
        self._master = self._replica
        self._front.turn(self._master)
        self._follow()
        _wait(lambda: answers(self.url))

    def _follow(self) -> None:
        """Start a replica that is behind, and wait until it follows."""
        link = self._undo.enter_context(Proxy(self._master, LAG))
        self._replica = self._start("--replicaof", f"127.0.0.1 {link.port}", "--masterauth", self._password)
        with self._client(self._replica) as replica:
            _wait(lambda: replica.info("replication").get("master_link_status") == "up")

    def _start(self, *options: str) -> int:
        """A server on a free port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        folder = self._folder / str(port)
        folder.mkdir(parents=True)
        given = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", self._password, "--save", ""]
        more = ["--appendonly", "yes", "--repl-diskless-sync-delay", "0", *options]
        with (folder / "server.log").open("wb") as log:
            command = [find_server(), *given, *more]
            self._processes[port] = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _wait(lambda: answers(self._url(port)))
        return port

    def _end(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def _url(self, port: int) -> str:
        return f"redis://:{self._password}@127.0.0.1:{port}/0"

    def _client(self, port: int) -> "redis.Redis":
        return redis.Redis.from_url(self._url(port), decode_responses=True)

    def __enter__(self) -> Self:
        self._master = self._start()
        self._undo.enter_context(self._front)
        self._front.turn(self._master)
        self._follow()
        self.url = self._url(self._front.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()
        for port in list(self._processes):
            self._end(port)


def answers(url: str) -> bool:
    """Whether a server is there and has its data."""
    with suppress(redis.RedisError), redis.Redis.from_url(url) as client:
        return bool(client.ping())
    return False


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        if time.monotonic() > deadline:
            raise AssertionError("the server does not come back")
        time.sleep(0.05)


#: By fleet, where it is not the embedded one.
SERVERS: Mapping[str, Callable[[Path], Server]] = MappingProxyType({"replica": ReplicatedServer})
