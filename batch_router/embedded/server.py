"""Starts the server, watches it, and ends it with the process that owns it.

    <home>/redis/  owner.lock   held by the supervisor as long as it lives: who has it may start and stop the server
                   data.lock    held by the server as long as it lives: two never write to the same AOF
                   server.json  port, password, pids; the next start uses the same port and password, if it can
                   server.conf, server.log, appendonlydir/

Locks answer "is it alive?", pids do not: a pid may belong to another process by now. So no pid is ever sent a signal,
except by the parent that has not yet waited for it.
"""

import fcntl
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
import redis

from ..exceptions import StoreUnavailableError
from ..security.files import make_home, open_private
from ..security.logs import get_logger
from ..security.masking import mask
from ..system_errors import describe
from .binary import find_server
from .record import FOLDER_MODE, Record, find_running, read_record, running_url

_READY_S = 10.0  # to the first PING; while it loads its data it may take longer
_STOP_S = 10.0  # from SIGTERM to SIGKILL
_ATTACH_S = 30.0  # for another process to bring its server up (again)
_FRESH_PORTS = 3
_LOG_END = 10_000  # bytes
_MAX_DEATHS, _DEATHS_WITHIN_S = 8, 60.0

# No RDB save points: the AOF has everything.
_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
databases 16
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""

# Becomes the server by exec, so that its pid is the server's.
# - Linux ends the server when the *thread* that forked it ends, however the process died: hence one thread makes all
#   servers and outlives them. If the supervisor died before the prctl, no signal will come: hence the look at getppid.
#   SIGTERM, because that writes the AOF to its end.
# - Only an inherited lock is held by the server itself, and let go by the kernel however it dies.
# A preexec_fn would do the same in fewer lines, but runs Python after a fork in a process with threads.
_LAUNCHER = """
import ctypes, fcntl, os, signal, sys
supervisor, *command = sys.argv[1:]
PR_SET_PDEATHSIG = 1
if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
    sys.exit("prctl failed")
lock = os.open("data.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
os.set_inheritable(lock, True)
fcntl.flock(lock, fcntl.LOCK_EX)
if os.getppid() != int(supervisor):
    sys.exit("the supervisor is gone")
os.execv(command[0], command)
"""

_log = get_logger(__name__)


class EmbeddedServer:
    """The server of `home`: started and supervised by this object, or attached to where another process does that.

    A server that dies is started again, on the same port with the same data. It ends with `stop`, and on Linux also
    with this process, even by SIGKILL. Elsewhere such an orphan runs on until the next `start` replaces it.

    Args:
        home: the data are in its folder `redis`.

    Attributes:
        ended_in_order: whether the server that `stop` ended had time to write down all that it was told.
    """

    ended_in_order = False

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()
        self._folder = self._home / "redis"
        self._lock: int | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None  # for the supervising thread alone

    @property
    def owned(self) -> bool:
        """Whether this object supervises the server; False when attached, and in a forked child."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> str:
        """Start the server, or attach to the one that runs; gives its URL, password included.

        Raises:
            StoreUnavailableError: no server is installed, or it does not come up; its log's end is in the message.
            ValidationError: the home, or what lies in it, could have been prepared by another user.
        """
        deadline = time.monotonic() + _ATTACH_S
        try:
            while not self._take_lock():
                if url := running_url(self._home):
                    return url
                if time.monotonic() > deadline:
                    raise StoreUnavailableError(f"{self._folder}: its server does not answer, though its owner lives")
                time.sleep(0.05)
            return self._start_supervisor()
        except OSError as error:
            raise StoreUnavailableError(f"the embedded server does not start: {describe(error)}") from error

    def stop(self) -> None:
        """End the server if this object supervises it, and wait until it is gone."""
        if self._thread and self.owned:
            self._stopping.set()
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_lock(self) -> bool:
        make_home(self._home)
        make_home(self._folder, most_mode=FOLDER_MODE)
        handle = open_private(self._folder / "owner.lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock = handle
        os.register_at_fork(after_in_child=self._drop_lock)  # or a child would hold it beyond our death
        return True

    def _drop_lock(self) -> None:
        handle, self._lock = self._lock, None
        if handle is not None:
            os.close(handle)

    def _start_supervisor(self) -> str:
        ready: Future[str] = Future()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._supervise, args=(ready,), name="embedded-server", daemon=True)
        self._thread.start()
        try:
            return ready.result()
        except BaseException:
            self.stop()
            raise

    def _supervise(self, ready: Future[str]) -> None:
        try:
            record = self._first_start()
        except BaseException as error:
            ready.set_exception(error)
        else:
            ready.set_result(record.url)
            self._watch(record)
            self._end_in_order()
        finally:
            self._end_process()
            self._drop_lock()

    def _end_in_order(self) -> None:
        """End the server, and see that it did so by itself: then it has written its log to the end."""
        self._end_process()
        self.ended_in_order = self._process is not None and self._process.returncode == 0

    def _first_start(self) -> Record:
        old = read_record(self._folder)
        if orphan := find_running(self._folder):
            # Its supervisor is dead, or we would not have the lock. It is replaced: a child is simpler to watch, and
            # ends with us; its clients connect again. The launcher waits until it let go of the data.
            with suppress(redis.RedisError), orphan.client() as client:
                client.shutdown(nosave=True)
        password = old.password if old else secrets.token_hex(24)
        for port in _ports(old.port if old else None):
            if record := self._launch(port, password):
                return record
        raise self._failed("does not start", password)

    def _watch(self, record: Record) -> None:
        deaths: list[float] = []
        while not self._stopping.wait(0.1):
            if self._process and self._process.poll() is None:
                continue
            now = time.monotonic()
            deaths = [*(then for then in deaths if now - then < _DEATHS_WITHIN_S), now]
            if len(deaths) > _MAX_DEATHS:
                _log.error("action=server_given_up deaths=%d log=%s", len(deaths), self._folder / "server.log")
                return
            _log.warning("action=server_restart port=%d deaths=%d", record.port, len(deaths))
            if self._stopping.wait(0.05 * 2 ** len(deaths)):
                return
            try:
                self._launch(record.port, record.password)
            except (StoreUnavailableError, OSError) as error:
                _log.warning("action=server_restart_failed error=%s", error)

    def _launch(self, port: int, password: str) -> Record | None:
        """The record of a server that answers; None if it ended at once, as when its port is taken."""
        command = [sys.executable, "-IS", "-c", _LAUNCHER, str(os.getpid()), find_server(), "server.conf"]
        _write_private(self._folder / "server.conf", _CONFIG.format(port=port, password=password).encode())
        with open(self._folder / "server.log", "ab", opener=open_private) as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for us alone
                umask=0o077,
            )
        record = Record(port=port, password=password, pid=self._process.pid, supervisor=os.getpid())
        _write_private(self._folder / "server.json", msgspec.json.encode(record))
        deadline = time.monotonic() + _READY_S
        while (state := record.probe()) != "ready":
            if self._process.poll() is not None or self._stopping.wait(0.02):
                return None
            if state == "loading":
                deadline = time.monotonic() + _READY_S
            elif time.monotonic() > deadline:
                self._end_process()
                raise self._failed(f"does not answer after {_READY_S:.0f} s", password)
        return record

    def _end_process(self) -> None:
        if self._process is None:
            return
        self._process.terminate()  # does nothing to one that has been waited for
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _failed(self, how: str, password: str) -> StoreUnavailableError:
        with open(self._folder / "server.log", "rb", opener=open_private) as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _LOG_END))
            lines = log.read().decode(errors="replace").rstrip("\n").split("\n")
        end = mask("\n".join(lines[-10:]), password)
        return StoreUnavailableError(f"the embedded server {how}; its log ends:\n{end}")


def _ports(preferred: int | None) -> Iterator[int]:
    if preferred is not None:
        yield preferred
    for _ in range(_FRESH_PORTS):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        yield port


def _write_private(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")  # one name will do: only who has the lock writes
    with open(new, "wb", opener=open_private) as stream:
        stream.write(content)
    os.replace(new, path)
